"""Recipe: onnxslim 0.1.98 and onnxsim 0.8.1, which simplify files that torch_export.py made.

pip install onnxslim==0.1.98 onnxsim==0.8.1
python slim_export.py
"""

from __future__ import annotations

import onnx
import onnxsim
import onnxslim
from common import FOLDER, attempt

SOURCES = ("17-cnn", "13-knees", "17-spelled", "20-smooth", "17-norms", "17-unet")


def main() -> None:
    """Simplify each with both."""
    for source in SOURCES:
        given = onnx.load(FOLDER / f"torch-script-{source}.onnx")
        attempt(f"onnxslim-{source}", lambda m=given: onnxslim.slim(m))
        attempt(f"onnxsim-{source}", lambda m=given: onnxsim.simplify(m)[0])


if __name__ == "__main__":
    main()

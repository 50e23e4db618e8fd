"""Recipe: scikit-learn 1.9.1 and skl2onnx 1.20.0.

pip install scikit-learn==1.9.1 skl2onnx==1.20.0
python sklearn_export.py
"""

from __future__ import annotations

import warnings

import numpy as np
from common import attempt
from skl2onnx import to_onnx
from sklearn.datasets import make_classification
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main() -> None:
    """Fit tiny perceptrons and convert them."""
    warnings.simplefilter("ignore")
    x, y = make_classification(120, 6, n_classes=3, n_informative=4, random_state=0)
    x = x.astype(np.float32)
    options = {"max_iter": 30, "random_state": 0}
    classifier = make_pipeline(
        StandardScaler(), MLPClassifier(hidden_layer_sizes=(7, 5), **options)
    ).fit(x, y)
    regressor = MLPRegressor(hidden_layer_sizes=(8,), **options).fit(x, y.astype(np.float32))
    tanh = MLPRegressor(hidden_layer_sizes=(4,), activation="tanh", **options).fit(x, y)
    binary = MLPClassifier(hidden_layer_sizes=(4,), **options).fit(x, y > 0)
    for opset in (9, 13, 18):
        attempt(
            f"skl2onnx-{opset}-classifier",
            lambda o=opset: to_onnx(classifier, x[:1], target_opset=o, options={"zipmap": False}),
        )
    attempt("skl2onnx-13-zipmap", lambda: to_onnx(binary, x[:1], target_opset=13))
    attempt("skl2onnx-18-regressor", lambda: to_onnx(regressor, x[:1], target_opset=18))
    attempt("skl2onnx-18-tanh", lambda: to_onnx(tanh, x[:1], target_opset=18))


if __name__ == "__main__":
    main()

"""Any user analyses, compares, converts and evaluates files; arguments: data, folder.

It prints what it found as JSON, and which frameworks the environment has.
"""

import importlib.util
import json
import sys

import numpy as np

import reluflow

data, folder = sys.argv[1:]
early, late = (reluflow.load(f"{folder}/{name}.onnx") for name in ("early", "late"))
shape = [size if isinstance(size, int) else -1 for size in late.inputs[0].shape or ()]
with np.load(data) as stored:
    images, labels = stored["image"].reshape([-1, *shape[1:]])[1500:], stored["label"][1500:]
report = reluflow.analyze(late, images, f"{folder}/report")
psb = reluflow.convert(late, f"{folder}/psb.onnx").model
few = reluflow.EvaluationOptions(samples=(16,), seeds=1)
found = reluflow.evaluate(psb, images, labels, float_model=late, metric="accuracy", options=few)
packages = ["equinox", "flax", "jax", "keras", "onnx_graphsurgeon", "onnx_ir", "sklearn"]
packages += ["tensorflow", "torch"]
print(
    json.dumps(
        {
            "units": [site.site.units for site in report],
            "distance": reluflow.compare(early, late, images).mean_distance,
            "float": found.float_value,
            "shift_adds": found.points[0].mean,
            "installed": [name for name in packages if importlib.util.find_spec(name)],
        }
    )
)

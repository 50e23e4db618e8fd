"""A user of the extra sklearn alone trains a pipeline and exports it; arguments: data, folder."""

import sys

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from reluflow_sklearn import ActCoolMLPClassifier, export, step_distance

data, folder = sys.argv[1:]
with np.load(data) as stored:
    pictures, labels = stored["image"], stored["label"]
images = pictures.reshape(-1, 14, 2, 14, 2).mean((2, 4)).reshape(-1, 196)
np.savez(f"{folder}/data.npz", image=images, label=labels)
fitted = {}
for name, epochs in (("early", 1), ("late", 10)):
    mlp = ActCoolMLPClassifier((32, 16), max_iter=epochs, random_state=0)
    model = make_pipeline(StandardScaler(), mlp).fit(images[:1500], labels[:1500])
    export(model, f"{folder}/{name}.onnx", images)
    fitted[name] = model
assert step_distance(fitted["early"], fitted["late"], images[:200]).mean_distance > 0.1

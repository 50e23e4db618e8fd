"""A user of the extra keras trains at a temperature and exports; arguments: data, folder."""

import sys

import keras
import numpy as np

from reluflow_keras import ActCool, PatternMonitor, export

data, folder = sys.argv[1:]
with np.load(data) as stored:
    images, labels = stored["image"].reshape(-1, 28, 28, 1), stored["label"]
keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.Input((28, 28, 1)),
        keras.layers.Conv2D(8, 3, strides=2, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(32, activation="relu"),
        keras.layers.Dense(10),
    ]
)
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
export(model, f"{folder}/early.onnx", images[:50])
cooling = ActCool()
watching = PatternMonitor(every=10, recorder=f"{folder}/recording")
known = images[:1500], labels[:1500]
model.fit(*known, epochs=4, batch_size=50, callbacks=[cooling, watching], verbose=0)
export(model, f"{folder}/late.onnx", images[:50])

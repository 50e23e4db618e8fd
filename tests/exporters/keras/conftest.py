"""Keras runs on the backend that KERAS_BACKEND names, on torch where it names none."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if os.environ["KERAS_BACKEND"] == "torch":
    import torch

    torch.set_num_threads(1)

"""reluflow opens the box of ReLU networks, from one file format: ONNX."""

from reluflow._version import __version__

__all__ = ["__version__"]

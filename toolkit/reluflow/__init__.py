"""reluflow opens the box of ReLU networks, from one file format: ONNX.

Example:
    >>> import reluflow
    >>> report = reluflow.analyze("model.onnx", "images.npy", "report")  # doctest: +SKIP
"""

import lazy_loader

from reluflow._version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

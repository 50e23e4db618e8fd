"""reluflow opens the box of ReLU networks, from one file format: ONNX.

Example:
    >>> import reluflow
    >>> images = "models/fashion_mnist_test_2000.npz"
    >>> report = reluflow.analyze("models/fashion_resnet8.onnx", images, limit=100)
    >>> [site.units for site in report.sites]
    [16, 16, 16, 32, 32, 64, 64]
"""

import lazy_loader

from reluflow._version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

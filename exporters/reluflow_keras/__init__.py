"""reluflow for Keras 3: callbacks that steer and record `fit`, and export to ONNX."""

import reluflow_keras._backend  # noqa: F401
from reluflow_keras.actcool import ActCool
from reluflow_keras.export import export
from reluflow_keras.monitor import PatternMonitor
from reluflow_keras.switches import Tapped

__all__ = ["ActCool", "PatternMonitor", "Tapped", "export"]

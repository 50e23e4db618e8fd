"""Opens ONNX Runtime sessions; the only room that knows onnxruntime."""

from reluflow.runtime.session import Session, default_threads, open_session

__all__ = ["Session", "default_threads", "open_session"]

"""Opens ONNX Runtime sessions; the only room that knows onnxruntime."""

from reluflow.runtime.library import get_library_path
from reluflow.runtime.session import (
    Session,
    check_threads,
    default_threads,
    has_library,
    open_session,
    use_library,
)
from reluflow.runtime.static_int8 import static_int8
from reluflow.runtime.stoppable import RunStopped

__all__ = [
    "RunStopped",
    "Session",
    "check_threads",
    "default_threads",
    "get_library_path",
    "has_library",
    "open_session",
    "static_int8",
    "use_library",
]

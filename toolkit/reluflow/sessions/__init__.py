"""Opens ONNX Runtime sessions; the only room that knows onnxruntime."""

from reluflow.native import get_library_path
from reluflow.sessions.profile import KernelTime, ModelProfile, profile_models
from reluflow.sessions.session import (
    Session,
    check_threads,
    default_threads,
    has_library,
    open_session,
    use_library,
)
from reluflow.sessions.static_int8 import static_int8
from reluflow.sessions.stoppable import RunStopped

__all__ = [
    "KernelTime",
    "ModelProfile",
    "RunStopped",
    "Session",
    "check_threads",
    "default_threads",
    "get_library_path",
    "has_library",
    "open_session",
    "profile_models",
    "static_int8",
    "use_library",
]

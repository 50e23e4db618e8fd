"""What was run, on which machine, and with how much memory."""

from __future__ import annotations

import platform
import resource
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from reluflow._version import __version__
from reluflow.analysis.results.result import ModelDescription, RunDescription
from reluflow.graph import Model

_PACKAGES = ("numpy", "numba", "onnx", "onnxruntime")


def describe_model(model: Model) -> ModelDescription:
    """Return the facts of a model that go into every result.

    Args:
        model: the model as loaded.

    Example:
        >>> from reluflow.graph import load
        >>> described = describe_model(load('models/fashion_resnet8.onnx'))
        >>> described.n_nodes, described.n_parameters
        (31, 78426)
    """
    return ModelDescription(
        path=str(model.path) if model.path else "<memory>",
        sha256=model.sha256,
        producer=model.producer,
        ir_version=model.ir_version,
        opset=dict(model.opset),
        n_nodes=model.n_nodes,
        n_parameters=model.n_parameters,
        size_bytes=model.size_bytes,
        inputs={spec.name: str(spec) for spec in model.inputs},
    )


def describe_run(
    started: str, seconds: dict[str, float], batch_size: int, threads: int
) -> RunDescription:
    """Return how an analysis was run; the peak memory is that of the process so far."""
    return RunDescription(
        started=started,
        seconds={stage: round(value, 3) for stage, value in seconds.items()},
        batch_size=batch_size,
        threads=threads,
        versions={"reluflow": __version__, "python": platform.python_version()}
        | dict(_versions(_PACKAGES)),
        machine=f"{_processor()}, {platform.system()} {platform.machine()}",
        peak_memory_bytes=peak_memory_bytes(),
    )


def peak_memory_bytes() -> int:
    """Return the largest resident set of this process so far, in bytes.

    The counter of Linux is read where there is one: the value of `getrusage` is inherited from the
    parent process when a program starts.

    Example:
        >>> peak_memory_bytes() > 2**20
        True
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return 1024 * int(status.split("VmHWM:")[1].split()[0])
    except (OSError, IndexError, ValueError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def _versions(names: Iterable[str]) -> Iterable[tuple[str, str]]:
    for name in names:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"

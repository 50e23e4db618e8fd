"""One ONNX Runtime session over a model of the graph room, its errors in one sentence."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import onnxruntime as ort

from reluflow.errors import DataError, ModelError, OptionError
from reluflow.graph import Model, normalises_by_batch, why_unrunnable
from reluflow.graph.proto.own_domain import OWN_DOMAIN
from reluflow.native import get_library_path
from reluflow.sessions.library import register
from reluflow.sessions.stoppable import StoppableRun

_LEVELS = {
    "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
_LONGEST = 400
"""Characters of ONNX Runtime's message in a sentence: it may quote a whole graph's names."""
_CUT = "..."
_FATAL_ONLY = 4
MOST_THREADS = 1024
_NOISE = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : |/[^ ]*?/onnxruntime/[^ ]* |\bStatus Message: "
)


def use_library(wanted: bool | None) -> bool:
    """Return whether to run natively: as requested, or (None) where the library is available.

    Args:
        wanted: True, False, or None for whatever is available.

    Raises:
        OptionError: the library is wanted and missing.

    Example:
        >>> use_library(False), use_library(None) == has_library()
        (False, True)
    """
    if wanted:
        get_library_path()
    return has_library() if wanted is None else wanted


def has_library() -> bool:
    """Tell whether the native library is installed or named.

    Example:
        >>> has_library() == use_library(None)
        True
    """
    try:
        get_library_path()
    except OptionError:
        return False
    return True


class Session:
    """A model that is ready to run on the CPU, as returned by `open_session`.

    Args:
        session: ONNX Runtime's own session.
        outputs: names of the outputs to compute, in order.

    Attributes:
        outputs: names of the outputs that `run` returns, in order.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> session = open_session(load(proto))
        >>> session.outputs, session.run({"x": np.array([[3, -3]], np.float32)})[0].tolist()
        (('y',), [[3.0, 0.0]])
        >>> session.stop()  # nothing runs: nothing happens
    """

    def __init__(self, session: Any, outputs: Sequence[str]) -> None:
        self._session = session
        self._run = StoppableRun(session)
        self.outputs = tuple(outputs)
        _open.add(self)

    def stop(self) -> None:
        """End the run in progress, if any, in another thread or around a signal handler."""
        self._run.stop()

    def end_profile(self) -> Path:
        """Write the times of all runs of a session opened with `write_profile`.

        Returns:
            The file, an array of events in JSON.

        Example:
            >>> import tempfile
            >>> from reluflow.graph import load
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     prefix = Path(folder, "times")
            ...     session = open_session(
            ...         load("models/fashion_resnet8.onnx"), write_profile=prefix)
            ...     _ = session.run({"image": np.zeros((1, 1, 28, 28), np.float32)})
            ...     "model_run" in session.end_profile().read_text()
            True
        """
        return Path(self._session.end_profiling())

    def run(self, feeds: Mapping[str, np.ndarray], *, shrink: bool = False) -> list[np.ndarray]:
        """Run the model once.

        Args:
            feeds: input name -> array.
            shrink: return memory to the system that the session would keep for its next run.

        Returns:
            One array per output, memory owned by ONNX Runtime (no copy is made).

        Raises:
            DataError: ONNX Runtime refuses the inputs, or a node fails on them.
            RunStopped: `stop` was called, or Ctrl-C was pressed; it is a KeyboardInterrupt.
        """
        try:
            return self._run(list(self.outputs), dict(feeds), shrink)
        except Exception as error:
            raise _failed(feeds, error) from error

    def run_into(
        self, feeds: Mapping[str, np.ndarray], into: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Run the model once, with memory of the caller for some of the outputs.

        What a kernel does not write there stays as it was.

        Args:
            feeds: input name -> array.
            into: output name -> array in C order, of the type and shape that the output has.

        Returns:
            Output name -> array; those of `into` are the given ones.

        Raises:
            DataError: ONNX Runtime refuses the inputs or the memory, or a node fails on them.
            RunStopped: `stop` was called, or Ctrl-C was pressed; it is a KeyboardInterrupt.

        Example:
            >>> from reluflow.graph import load
            >>> session = open_session(load("models/fashion_resnet8.onnx"))
            >>> logits = np.empty((2, 10), np.float32)
            >>> images = np.zeros((2, 1, 28, 28), np.float32)
            >>> session.run_into({"image": images}, {"logits": logits})["logits"] is logits
            True
        """
        binding = self._session.io_binding()
        try:
            for name, value in feeds.items():
                # As a value of ONNX Runtime: an array is refused where the input has a default.
                held = ort.OrtValue.ortvalue_from_numpy(np.asarray(value, order="C"))
                binding.bind_ortvalue_input(name, held)
            for name in self.outputs:
                if name in into:
                    given = into[name]
                    place = ("cpu", 0, given.dtype, given.shape, given.ctypes.data)
                    binding.bind_output(name, *place)
                else:
                    binding.bind_output(name)
            self._run.bound(binding)
        except Exception as error:
            raise _failed(feeds, error) from error
        found = zip(self.outputs, binding.get_outputs(), strict=True)
        return {name: into[name] if name in into else each.numpy() for name, each in found}


def _failed(feeds: Mapping[str, np.ndarray], error: Exception) -> DataError:
    shapes = ", ".join(f"{k} {v.dtype} {list(v.shape)}" for k, v in feeds.items())
    return DataError(
        f"the model failed on inputs {shapes}: {one_sentence(error)}; give inputs of the "
        "sizes and values that it was made for."
    )


_open: WeakSet[Session] = WeakSet()


def _keep_open() -> None:
    """In a forked child: never close the sessions of the parent, whose threads stayed there.

    They run here, on one thread; but closing one would wait for its other threads without an end.
    """
    for session in list(_open):
        if session._session.get_session_options().intra_op_num_threads > 1:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(session._session))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_open)


def check_threads(threads: int | None) -> None:
    """Refuse a number of threads that cannot be started.

    Args:
        threads: number of threads; None, the default, is accepted.

    Raises:
        OptionError: it is below 1 or above 1024.

    Example:
        >>> check_threads(4)
        >>> check_threads(None)
    """
    if threads is not None and threads < 1:
        raise OptionError(f"threads is {threads}; give a whole number from 1 on.")
    if threads is not None and threads > MOST_THREADS:
        raise OptionError(f"threads is {threads}; give {MOST_THREADS} at most.")


def default_threads() -> int:
    """Return the number of processor cores this process may use.

    Example:
        >>> default_threads() >= 1
        True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_session(
    model: Model,
    *,
    outputs: Sequence[str] | None = None,
    threads: int | None = None,
    optimisation: str = "all",
    library: bool | None = None,
    write_optimised: Path | None = None,
    write_profile: Path | None = None,
    in_order: bool = False,
    arena: bool = True,
) -> Session:
    """Open a session on the CPU.

    Args:
        model: of `reluflow.graph.load` or a rewrite.
        outputs: names of the outputs to compute; all of the model's by default.
        threads: intra-op threads; the cores of this process by default.
        optimisation: ONNX Runtime's graph optimisation: "none", "basic", "extended" or "all".
        library: run operators of the domain `ai.reluflow` natively: True, never (False), or
            by default where the model has some and the library is available. Without it their
            model-local functions run.
        write_optimised: file to write the optimised model to; its weights go to
            `<name>.data` beside it.
        write_profile: start of the name of the file that receives the time of each kernel once
            `Session.end_profile` is called.
        in_order: run nodes in the order of the model where their inputs allow it.
        arena: keep memory from run to run; without, a run takes no more than its tensors need at a
            time.

    Returns:
        The session.

    Raises:
        OptionError: an unknown optimisation level, a thread count below 1 or above 1024, or the
            native library was asked for and is missing.
        ModelError: the model has a Loop that never ends or a computed constant of more than
            256 MiB, ONNX Runtime cannot load it, or write the optimised one.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> session = open_session(load(proto), threads=1)
        >>> session.run({'x': np.array([[1, -1]], np.float32)})[0].tolist()
        [[1.0, 0.0]]
    """
    if optimisation not in _LEVELS:
        raise OptionError(
            f"optimisation is {optimisation!r}; accepted are {', '.join(map(repr, _LEVELS))}."
        )
    check_threads(threads)
    name = model.path or "the model"
    # Before ONNX Runtime sees it: it would run, or allocate, without an end.
    fault = why_unrunnable(model)
    if fault:
        raise ModelError(f"{name} cannot be run: {fault}; export the model again without it.")
    options = _session_options(threads or default_threads(), optimisation)
    options.enable_cpu_mem_arena = options.enable_mem_pattern = arena
    if in_order:
        options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
    if write_optimised is not None:
        _write_to(write_optimised, options)
    if write_profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(write_profile)
    if library or (library is None and OWN_DOMAIN in model.opset and has_library()):
        register(options)
    if model.base_dir is not None:
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(model.base_dir)
        )
    try:
        session = ort.InferenceSession(
            model.serialize(),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=_harmful(model),
        )
    except Exception as error:
        raise ModelError(
            f"ONNX Runtime cannot load {name}: {one_sentence(error)}; export it again, or "
            "update onnxruntime."
        ) from error
    return Session(session, outputs or [o.name for o in session.get_outputs()])


def _session_options(threads: int, optimisation: str) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    # Nodes one after another: branches side by side would share the threads of their kernels.
    options.inter_op_num_threads = 1
    options.graph_optimization_level = _LEVELS[optimisation]
    options.log_severity_level = _FATAL_ONLY
    # Between two runs a spinning pool would compete with the hashing threads for the cores.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _harmful(model: Model) -> list[str]:
    """Return the optimisers of ONNX Runtime that would change what a model computes.

    ConstantSharing merges equal constants; batch normalisation in training mode overwrites its
    running statistics, and with them whatever shares their memory.
    """
    return ["ConstantSharing"] if normalises_by_batch(model) else []


def _write_to(path: Path, options: Any) -> None:
    options.optimized_model_filepath = str(path)
    prefix = "session.optimized_model_external_initializers"
    options.add_session_config_entry(f"{prefix}_file_name", f"{path.name}.data")
    options.add_session_config_entry(f"{prefix}_min_size_in_bytes", "1024")


def one_sentence(error: BaseException) -> str:
    """Return ONNX Runtime's message without codes, source paths and line breaks."""
    text = " ".join(_NOISE.sub("", str(error)).split()).rstrip(".")
    short = text[: _LONGEST - len(_CUT)] + _CUT if len(text) > _LONGEST else text
    return short or type(error).__name__

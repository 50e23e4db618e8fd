"""Opens models that hash themselves, in ONNX Runtime's blocked layout where it uses one."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reluflow.errors import ReluflowError
from reluflow.graph import Model, blocked_probe, has_convolutions, read_blocked
from reluflow.sessions import Session, open_session

_BLOCKS = (16, 8)


def open_hashing(
    model: Model, outputs: Sequence[str], *, threads: int, optimisation: str
) -> Session:
    """Open a session over a model with PatternHash nodes.

    ONNX Runtime optimises the model and writes it to a temporary file; the hashes are rewired to
    the blocked tensors there and the result is opened as it is. Results are the same bit for bit.
    Where nothing is gained, or a step fails, the model is opened as usual.

    Args:
        model: of `hash_taps`.
        outputs: names of the outputs to compute.
        threads: intra-op threads.
        optimisation: ONNX Runtime's graph optimisation level; only "all" uses blocks.

    Raises:
        ModelError: ONNX Runtime cannot load the model.
    """
    if optimisation == "all" and has_convolutions(model):
        block = block_size(threads)
        session = _open_blocked(model, outputs, threads, block) if block else None
        if session is not None:
            return session
    return open_session(model, outputs=outputs, threads=threads, optimisation=optimisation)


def block_size(threads: int = 1) -> int:
    """Return how many channels a block of this machine's layout has, 0 where there are none.

    A small convolution is hashed in plain order and with each size; the size that gives the same
    hashes is the right one.
    """
    model, x = blocked_probe()
    wanted = open_session(model, threads=threads).run({"x": x})
    for block in _BLOCKS:
        session = _open_blocked(model, ["keys", "active", "nonfinite"], threads, block)
        try:
            if session is None:
                return 0
            if all(map(np.array_equal, session.run({"x": x}), wanted)):
                return block
        except ReluflowError:
            continue
    return 0


def _open_blocked(model: Model, outputs: Sequence[str], threads: int, block: int) -> Session | None:
    """Return a session that hashes blocks; None where this is impossible or changes nothing."""
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "optimised.onnx"
            first = open_session(model, outputs=outputs, threads=threads, write_optimised=path)
            rewired = read_blocked(path, block)
            if rewired is None:
                return first
            del first
            return open_session(
                rewired, outputs=outputs, threads=threads, optimisation="none", in_order=True
            )
    except (ReluflowError, OSError):
        return None

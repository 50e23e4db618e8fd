"""Run a PSB-converted model at four precisions with plain ONNX Runtime.

    python host.py LIBRELUFLOW MODEL INPUT

LIBRELUFLOW is what `reluflow.sessions.get_library_path()` returns; reluflow is not needed here.
INPUT holds one input of the model as raw float32. Every line of the output is one run:
the number of samples (0 is nearest mode), then the model's first output.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import onnxruntime as ort

FAILED = 2
SEED = 7


class HostError(Exception):
    """One sentence on what could not be done, and why."""


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Turn any error of ONNX Runtime or of a file into one sentence."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise HostError(f"cannot {what}: {reason}.") from error


def open_session(library: str, model: str) -> ort.InferenceSession:
    """Open a model after its operators' library was registered."""
    ort.set_default_logger_severity(4)  # errors come as exceptions
    options = ort.SessionOptions()
    with doing(f"load the library {library!r}"):
        options.register_custom_ops_library(library)
    with doing(f"load the model {model!r}"):
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def read_input(session: ort.InferenceSession, path: str) -> tuple[str, np.ndarray]:
    """Return the name of the model's input and one value for it."""
    wanted = session.get_inputs()[0]
    shape = [d if isinstance(d, int) else 1 for d in wanted.shape]  # a free dimension is the batch
    with doing(f"read {path!r}"):
        return wanted.name, np.fromfile(path, np.float32).reshape(shape)


def run(session: ort.InferenceSession, name: str, x: np.ndarray, samples: int) -> np.ndarray:
    """Run once with this many samples per weight."""
    feeds = {name: x, "samples": np.array(samples, np.int64), "seed": np.array(SEED, np.int64)}
    with doing(f"compute with {samples} samples"):
        return session.run([session.get_outputs()[0].name], feeds)[0]


def main(arguments: list[str]) -> int:
    """Print one line per precision; return the exit code."""
    try:
        if len(arguments) != 3:
            raise HostError("cannot start: give LIBRELUFLOW MODEL INPUT.")
        library, model, path = arguments
        session = open_session(library, model)
        name, x = read_input(session, path)
        for samples in (1, 4, 16, 0):
            values = run(session, name, x, samples).ravel()
            print(f"samples {samples}:", *(f"{y:.9g}" for y in values))  # nine digits: exact
    except HostError as error:
        print(f"host.py: {error}", file=sys.stderr)
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

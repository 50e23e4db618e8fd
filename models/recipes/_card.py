"""Facts of a shipped file (size, hash, nodes, accuracy), and the cards that state them."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

_STATISTICS = ("running_mean", "running_var")


@dataclass(frozen=True)
class ModelFacts:
    """What a card states about one .onnx file.

    Attributes:
        name: the file's name.
        n_bytes: its size in bytes.
        sha256: of its bytes, in hexadecimal.
        n_parameters: trained values.
        n_statistics: running means and variances of batch normalisation.
        op_counts: number of nodes of each operator.
        opset: of the default domain.
        ir_version: of the file.
        accuracy: fraction in [0, 1] of the test images that ONNX Runtime gets right.
    """

    name: str
    n_bytes: int
    sha256: str
    n_parameters: int
    n_statistics: int
    op_counts: dict[str, int]
    opset: int
    ir_version: int
    accuracy: float


def sha256_of(path: Path) -> str:
    """Returns the hexadecimal SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def accuracy_in_onnxruntime(path: Path, images: np.ndarray, labels: np.ndarray) -> float:
    """Runs a model over images in ONNX Runtime on the CPU, 500 at a time.

    Args:
        path: a model with input `image` and output `logits`.
        images: float32 `(n, 1, 28, 28)` in [0, 1].
        labels: int64 `(n,)`.

    Returns:
        The fraction in [0, 1] of images whose largest logit is the label's.
    """
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    n_correct = 0
    for first in range(0, len(images), 500):
        part = slice(first, first + 500)
        (logits,) = session.run(["logits"], {"image": images[part]})
        n_correct += int((logits.argmax(axis=1) == labels[part]).sum())
    return n_correct / len(images)


def model_facts(path: Path, images: np.ndarray, labels: np.ndarray) -> ModelFacts:
    """Measures a model file; the arguments are those of `accuracy_in_onnxruntime`."""
    proto = onnx.load(path)
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in proto.graph.initializer}
    n_statistics = sum(size for name, size in sizes.items() if name.endswith(_STATISTICS))
    return ModelFacts(
        name=path.name,
        n_bytes=path.stat().st_size,
        sha256=sha256_of(path),
        n_parameters=sum(sizes.values()) - n_statistics,
        n_statistics=n_statistics,
        op_counts=dict(Counter(node.op_type for node in proto.graph.node)),
        opset=next(entry.version for entry in proto.opset_import if not entry.domain),
        ir_version=proto.ir_version,
        accuracy=accuracy_in_onnxruntime(path, images, labels),
    )


def file_table(facts: list[ModelFacts]) -> str:
    """Returns the Markdown table of files that the tests read back."""
    rows = [f"| `{f.name}` | {f.n_bytes:,} | {f.accuracy:.4f} | `{f.sha256}` |" for f in facts]
    head = ["| file | bytes | test accuracy | sha256 |", "| --- | --- | --- | --- |"]
    return "\n".join(head + rows)


def node_table(facts: ModelFacts) -> str:
    """Returns the Markdown table of node counts that the tests read back."""
    rows = [f"| {op} | {count} |" for op, count in sorted(facts.op_counts.items())]
    return "\n".join(["| operator | nodes |", "| --- | --- |", *rows])

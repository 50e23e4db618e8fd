"""Facts of a shipped file (size, hash, nodes, accuracy), and the cards that state them."""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from _fashion_mnist import CLASS_NAMES
from _networks import Network
from _training import Settings

N_SHIPPED = 2000  # first test images, in fashion_mnist_test_2000.npz
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
        n_shipped_right: number that it gets right of the images shipped with the models.
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
    n_shipped_right: int


def sha256_of(path: Path) -> str:
    """Returns the hexadecimal SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def right_in_onnxruntime(path: Path, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Runs a model over images in ONNX Runtime on the CPU, 500 at a time.

    Args:
        path: a model with input `image` and output `logits`.
        images: float32 `(n, 1, 28, 28)` in [0, 1].
        labels: int64 `(n,)`.

    Returns:
        bool `(n,)`: whether the largest logit of an image is the label's.
    """
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    parts = [
        session.run(["logits"], {"image": images[first : first + 500]})[0].argmax(axis=1)
        for first in range(0, len(images), 500)
    ]
    return np.concatenate(parts) == labels


def model_facts(path: Path, images: np.ndarray, labels: np.ndarray) -> ModelFacts:
    """Measures a model file; the arguments are those of `right_in_onnxruntime`."""
    proto = onnx.load(path)
    right = right_in_onnxruntime(path, images, labels)
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
        accuracy=float(right.mean()),
        n_shipped_right=int(right[:N_SHIPPED].sum()),
    )


def file_table(facts: list[ModelFacts]) -> str:
    """Returns the Markdown table of files that the tests read back."""
    rows = [
        f"| `{f.name}` | {f.n_bytes:,} | {f.accuracy:.4f} | {f.n_shipped_right} | `{f.sha256}` |"
        for f in facts
    ]
    head = [
        f"| file | bytes | test accuracy | right of the first {N_SHIPPED:,} | sha256 |",
        "| --- | --- | --- | --- | --- |",
    ]
    return "\n".join(head + rows)


def node_table(facts: ModelFacts) -> str:
    """Returns the Markdown table of node counts that the tests read back."""
    rows = [f"| {op} | {count} |" for op, count in sorted(facts.op_counts.items())]
    return "\n".join(["| operator | nodes |", "| --- | --- |", *rows])


def card_text(
    network: Network,
    command: str,
    settings: Settings,
    usual: Settings,
    threads: int,
    facts: list[ModelFacts],
) -> str:
    """Writes the Markdown card: what, data, recipe, seed, versions, measures, licence.

    Args:
        network: what was trained.
        command: that trains it with its usual settings.
        settings: those of this run; what differs from `usual` is added to the command.
        usual: the network's usual settings.
        threads: of torch.
        facts: of the final file, then of the file after the first epoch if there is one.

    Returns:
        The text of the card.
    """
    used = {field.name: getattr(settings, field.name) for field in fields(Settings)}
    changed = "".join(
        f" --{name.replace('_', '-')} {value}"
        for name, value in used.items()
        if value != getattr(usual, name)
    )
    packages = ("torch", "onnx", "onnxruntime", "numpy")
    return CARD.format(
        name=network.name,
        about=network.about,
        files=file_table(facts),
        early=EARLY.format(name=facts[1].name) if len(facts) > 1 else "",
        nodes=node_table(facts[0]),
        final=facts[0],
        classes=", ".join(CLASS_NAMES),
        command=command + changed,
        settings="\n".join(f"| {name} | {value} |" for name, value in used.items()),
        threads=threads,
        plural="s" * (threads > 1),
        python=platform.python_version(),
        machine=platform.machine(),
        versions=", ".join(f"{package} {version(package)}" for package in packages),
    )


EARLY = """ `{name}` is the same run after its first epoch, while the learning
rate was still rising; it is there to be compared with the final state."""

CARD = """# {name}

{about}

{files}

The test accuracy is that of the file itself in ONNX Runtime (CPU, float32) on all 10,000 test
images.{early}

## Interface

* Input `image`: float32 `[N, 1, 28, 28]`, the grey value over 255, so in [0, 1]; N is free.
  No other preprocessing: the first batch normalisation does the rest.
* Output `logits`: float32 `[N, 10]`, in the order
  {classes}.
* Opset {final.opset}, IR version {final.ir_version}, {final.n_parameters:,} trained parameters
  and {final.n_statistics:,} running means and variances.

{nodes}

## Data

FashionMNIST (Zalando SE, 2017, MIT licence), 60,000 training and 10,000 test images, read from
Debian's package `dataset-fashion-mnist`. All training images were used. The test images
took no part in training and chose neither epoch nor settings.

## Recipe

    {command}

SGD with Nesterov momentum 0.9 and OneCycle; random shift and mirror image. The last epoch is
shipped.

| setting | value |
| --- | --- |
{settings}

Made with {versions}, Python {python}, on the CPU
({machine}) with {threads} thread{plural}. The same versions, processor and thread count give the
same weights; elsewhere the order of floating-point sums differs, and with it the last digits, the
hashes and, slightly, the accuracy.

## Licence

The weights are Apache-2.0, as reluflow is. The data are under the MIT licence.
"""

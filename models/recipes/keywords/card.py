"""The card of the keyword network: its files, what it takes, how it was measured and made."""

from __future__ import annotations

import platform
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from _card import sha256_of
from keywords.clips import KeywordSet
from keywords.speech import ACCENTS, CLASS_NAMES, OTHERS, UNSEEN, VARIANTS
from keywords.training import KeywordSettings


@dataclass(frozen=True)
class KeywordFacts:
    """What the card states about the files.

    Attributes:
        n_bytes: of the model.
        sha256: of its bytes, in hexadecimal.
        n_parameters: trained values.
        op_counts: number of nodes of each operator.
        opset: of the default domain.
        ir_version: of the file.
        n_right: test clips that ONNX Runtime gets right.
        n_clips: of the test.
        data: the other files.
    """

    n_bytes: int
    sha256: str
    n_parameters: int
    op_counts: dict[str, int]
    opset: int
    ir_version: int
    n_right: int
    n_clips: int
    data: Sequence[Path]

    @property
    def accuracy(self) -> float:
        """Fraction of the test clips, in [0, 1]."""
        return self.n_right / self.n_clips


def keyword_facts(path: Path, clips: KeywordSet, data: Sequence[Path]) -> KeywordFacts:
    """Measures a model file.

    Args:
        path: the .onnx file.
        clips: of the test.
        data: the .npz files beside it.
    """
    proto = onnx.load(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = session.run(["logits"], {"cepstra": clips.inputs})[0].argmax(1)
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in proto.graph.initializer}
    running = ("running_mean", "running_var")
    return KeywordFacts(
        n_bytes=path.stat().st_size,
        sha256=sha256_of(path),
        n_parameters=sum(size for name, size in sizes.items() if not name.endswith(running)),
        op_counts=dict(Counter(node.op_type for node in proto.graph.node)),
        opset=next(entry.version for entry in proto.opset_import if not entry.domain),
        ir_version=proto.ir_version,
        n_right=int((found == clips.labels).sum()),
        n_clips=len(clips.labels),
        data=data,
    )


def card_text(
    facts: KeywordFacts, settings: KeywordSettings, threads: int, command: str, n_train: int
) -> str:
    """Writes the Markdown card: what, interface, measures, data, recipe, versions, licence.

    Args:
        facts: of the files.
        settings: those of the run.
        threads: of torch.
        command: that makes the files.
        n_train: number of training clips.

    Returns:
        The text of the card.
    """
    packages = ("torch", "onnx", "onnxruntime", "numpy", "scipy")
    return CARD.format(
        facts=facts,
        right=f"{facts.n_right} of {facts.n_clips}",
        data="\n".join(
            f"| `{path.name}` | {path.stat().st_size:,} |  | `{sha256_of(path)}` |"
            for path in facts.data
        ),
        nodes="\n".join(f"| {op} | {count} |" for op, count in sorted(facts.op_counts.items())),
        classes=", ".join(CLASS_NAMES),
        others="\n".join(textwrap.wrap(", ".join(OTHERS), 96)),
        accents=len(ACCENTS),
        heard=len(VARIANTS) - len(UNSEEN),
        unseen=len(UNSEEN),
        n_train=n_train,
        settings="\n".join(f"| {name} | {value} |" for name, value in asdict(settings).items()),
        command=command,
        threads=threads,
        python=platform.python_version(),
        machine=platform.machine(),
        versions=", ".join(f"{package} {version(package)}" for package in packages),
    )


CARD = """# keywords_dscnn

The keyword network of MLPerf Tiny, DS-CNN: a 10 x 4 convolution of stride 2, four
depthwise-separable blocks of 64 channels, a global average pool and one dense layer. Batch
normalisation stays in the file as nodes of its own. It tells ten words, other words and silence
apart in a second of **synthetic** speech: espeak-ng says all words, by rules. Nobody spoke them,
and the figures say nothing about people or microphones; the network is here for its size and its
operators.

| file | bytes | test clips right | sha256 |
| --- | --- | --- | --- |
| `keywords_dscnn.onnx` | {facts.n_bytes:,} | {right} | `{facts.sha256}` |
{data}

The test clips are those of `keywords_test.npz`, measured on the file itself in ONNX Runtime (CPU,
float32): an accuracy of {facts.accuracy:.4f}. `keywords_calibration.npz` has training clips, to
calibrate on. Both have the arrays `cepstra` and `label`.

## Interface

* Input `cepstra`: float32 `[N, 1, 49, 10]`, ten mel-frequency cepstral coefficients of 49 frames of
  40 ms, one each 20 ms, at 16,000 samples per second; each scaled by the mean and the deviation of
  the training clips, and rounded to multiples of 1/32 from -4 to 127/32; N is free.
* Output `logits`: float32 `[N, 12]`, in the order
  {classes}.
* Opset {facts.opset}, IR version {facts.ir_version}, {facts.n_parameters:,} trained parameters.

| operator | nodes |
| --- | --- |
{nodes}

## Data

{n_train:,} training clips of {heard} voices and {facts.n_clips} test clips of {unseen} others of
espeak-ng, in {accents} accents, at random speed, pitch, loudness and place, in noise 0 to 40 dB
below the word. "unknown" are other words, "silence" is noise. No voice of the test was heard in
training, and the test chose neither epoch nor settings. The other words:
{others}.

## Recipe

    {command}

AdamW and OneCycle. The last epoch is shipped.

| setting | value |
| --- | --- |
{settings}

Made with {versions},
Python {python}, espeak-ng 1.51, on the CPU ({machine}), threads of torch: {threads}.
The same versions, processor and thread count give the same weights; elsewhere the order of
floating-point sums differs, and with it the last digits, the hashes and, slightly, the accuracy.

## Licence

The weights and the clips are Apache-2.0, as reluflow is.
"""

"""The records of this room: the cost of a converted model and how well it works."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from reluflow.frames import Shown, Tabular, flat, written
from reluflow.graph import Chain, own_samples


@dataclass(frozen=True, slots=True)
class LayerCost:
    """What one PSB operator stores and does, as listed by `describe_psb`.

    Attributes:
        name: of the node.
        op: "PsbConv" or "PsbMatMul".
        weight_shape: as stored, output channels first.
        weights: number of weights.
        zeros: how many of them are 0.
        bits_per_weight: stored bits, exponents and padding included.
        shift_adds: for one input and one sample per weight, in one pass of the subgraph that it may
            stand in; None where shapes do not tell.
        adds: whether it adds another tensor to its sum before the activation.
        activation: what is fused: "none", "relu" or "clip".
        x_exponent: the calibrated exponent, None: taken from each run.
        factor: its number of samples over that of the run, a power of two.
        inside: the node (If, Loop or Scan) in whose subgraph it stands, "": none.
        p_bits: stored bits of a probability.
    """

    name: str
    op: str
    weight_shape: tuple[int, ...]
    weights: int
    zeros: int
    bits_per_weight: float
    shift_adds: int | None
    adds: bool
    activation: str
    x_exponent: int | None
    factor: float = 1.0
    inside: str = ""
    p_bits: int = 4


@dataclass(frozen=True, slots=True, repr=False)
class PsbDescription(Tabular):
    """What a converted model stores and does, as returned by `describe_psb`.

    Attributes:
        path: its file, None for one from memory.
        p_bits: stored bits of a probability, the most of all operators.
        sampler: "systematic", "binomial" or "nearest".
        draws: "run" or "product".
        file_bytes: bytes of the model, external data included.
        weights: number of weights of all PSB operators.
        zeros: how many of them are 0.
        bits_per_weight: stored bits per weight, all operators together.
        shift_adds: for one input and one sample per weight; None where shapes do not tell.
        layers: the PSB operators in graph order.
        successions: sentences on multiplications without a switch in between.
        chains: where operators pass bytes to each other.
    """

    path: str | None
    p_bits: int
    sampler: str
    draws: str
    file_bytes: int
    weights: int
    zeros: int
    bits_per_weight: float
    shift_adds: int | None
    layers: tuple[LayerCost, ...]
    successions: tuple[str, ...]
    chains: tuple[Chain, ...] = ()

    _shown: ClassVar[Shown] = {
        "layer": ("name", "text"),
        "operator": ("op", "text"),
        "weights": ("weights", "count"),
        "zeros": ("zeros", "count"),
        "bits": ("bits_per_weight", "number"),
        "shift-adds": ("shift_adds", "count"),
        "then": ("activation", "text"),
    }

    def _heading(self) -> str:
        return (
            f"{self.path or 'model in memory'}: {self.weights:,} weights of "
            f"{self.bits_per_weight:.2f} bits, sampler {self.sampler}"
        )

    def _records(self) -> Sequence[dict[str, Any]]:
        return [flat(layer) for layer in self.layers]

    def _sentences(self) -> Sequence[str]:
        return self.successions

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

    @property
    def probability_bits(self) -> str:
        """The stored bits of a probability, in words: "4", or "3 to 6" where they differ."""
        least = min((layer.p_bits for layer in self.layers), default=self.p_bits)
        return str(least) if least == self.p_bits else f"{least} to {self.p_bits}"

    def mean_samples(self, samples: int) -> float | None:
        """Return the mean number of samples over all multiplications; None without shapes.

        Args:
            samples: n of the run.

        Example:
            >>> from reluflow.evaluation import describe_psb
            >>> from reluflow.graph import load, to_psb
            >>> describe_psb(to_psb(load("models/fashion_resnet8.onnx")).model).mean_samples(4)
            4.0
        """
        if self.shift_adds is None:
            return None
        spent = sum(
            (layer.shift_adds or 0) * own_samples(samples, layer.factor) for layer in self.layers
        )
        return spent / max(1, self.shift_adds)


@dataclass(frozen=True, slots=True)
class OutputError:
    """The error of one output against the float model, over all inputs and seeds.

    `evaluate` and `choose_activation_bits` give it.

    Attributes:
        name: of the output.
        sqnr_db: signal to quantisation noise, 10 log10 (sum y^2 / sum (y' - y)^2), in decibels;
            infinite where they are equal, None where the output is not floating point.
        worst_channel: the channel with the lowest SQNR; None where there are no channels.
        worst_db: its SQNR.
        equal: share of the elements that are equal, in [0, 1].
        even_db: the SQNR in which every channel counts alike, however loud; None as `sqnr_db`.
        spread_db: the SQNR whose signal is the variance of the channels, that is what differs
            between inputs and places; None as `sqnr_db`.
    """

    name: str
    sqnr_db: float | None
    worst_channel: int | None
    worst_db: float | None
    equal: float
    even_db: float | None = None
    spread_db: float | None = None


@dataclass(frozen=True, slots=True)
class SamplePoint:
    """A metric at one number of samples; part of what `evaluate` returns.

    Attributes:
        samples: n.
        mean: over the seeds.
        std: standard deviation over the seeds (n - 1 in the denominator), 0 for one seed.
        values: one per seed.
        more: means of the other metrics, in the order of `Evaluation.more`.
        outputs: the error of each output; empty where no float model was given.
        sampler: how the samples were drawn.
        mean_samples: mean of the operators' own numbers over all multiplications; None where
            shapes do not tell.
    """

    samples: int
    mean: float
    std: float
    values: tuple[float, ...]
    more: tuple[float, ...] = ()
    outputs: tuple[OutputError, ...] = ()
    sampler: str = ""
    mean_samples: float | None = None


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A model to compare with: nearest mode, int8 or float32.

    It is part of what `evaluate` returns.

    Attributes:
        name: "nearest", "int8" or "float32".
        value: the metric.
        more: the other metrics, in the order of `Evaluation.more`.
        outputs: the error of each output; empty for the float model and without one.
    """

    name: str
    value: float
    more: tuple[float, ...]
    outputs: tuple[OutputError, ...]


@dataclass(frozen=True, slots=True)
class LayerSensitivity:
    """The metric with a single converted layer, all others in floating point.

    It is part of what `evaluate` returns.

    Attributes:
        name: of the layer.
        point: the metric at a low number of samples.
        loss: metric of the float model minus the mean.
    """

    name: str
    point: SamplePoint
    loss: float


@dataclass(frozen=True, slots=True)
class LayerSaturation:
    """How many activations of a layer its fixed-point numbers clip or lose.

    `measure_saturation` returns one per operator, and one per tensor of a chain.

    Attributes:
        name: of the layer.
        saturated: activations beyond the largest fixed-point number, infinities included.
        activations: the number of all activations.
        tensor: what the layer multiplies.
        nonzero: activations that are not 0.
        below: those of them that become 0, being at most half a step.
        x_bits: bits of the fixed-point numbers.
        chained: whether it tells of what an operator gives to a chain, not of what it reads: then
            `tensor` is what it makes, and only `saturated` and `activations` are counted.
    """

    name: str
    saturated: int
    activations: int
    tensor: str = ""
    nonzero: int = 0
    below: int = 0
    x_bits: int = 0
    chained: bool = False

    @property
    def share(self) -> float:
        """Fraction in [0, 1] of the activations that saturate."""
        return self.saturated / max(1, self.activations)

    @property
    def below_share(self) -> float:
        """Fraction in [0, 1] of the activations that are not 0 but become 0."""
        return self.below / max(1, self.nonzero)


@dataclass(frozen=True, slots=True, repr=False)
class Evaluation(Tabular):
    """How well a converted model works at each precision, as returned by `evaluate`.

    Attributes:
        psb: what the model stores and does.
        metric: the name of the main metric.
        n_inputs: number of inputs.
        seeds: of the runs.
        points: one per number of samples, ascending.
        nearest: the metric in nearest mode (samples = 0).
        float_value: the metric of the float model, None where none was given.
        float_bytes: its size.
        int8_value: the metric of ONNX Runtime's static int8 of it, None where not requested.
        int8_bytes: its size.
        sensitivity: one per layer; empty where not requested.
        saturation: one per layer, over all inputs in nearest mode.
        native: whether the native library ran; otherwise the same draws were baked into the
            weights.
        notes: sentences that the reader should know.
        task: the sentence that says how the output was read.
        output: the output that the metrics are of.
        share: whether the main metric is a fraction in [0, 1], shown in percent.
        higher_is_better: if False, a higher value is a loss.
        more: names of the other metrics.
        more_shares: which of them are fractions.
        neighbours: nearest mode, int8 and float32 with all metrics.
        findings: sentences on what went wrong, where, and what can be done.
    """

    psb: PsbDescription
    metric: str
    n_inputs: int
    seeds: tuple[int, ...]
    points: tuple[SamplePoint, ...]
    nearest: float
    float_value: float | None
    float_bytes: int | None
    int8_value: float | None
    int8_bytes: int | None
    sensitivity: tuple[LayerSensitivity, ...]
    saturation: tuple[LayerSaturation, ...]
    native: bool
    notes: tuple[str, ...]
    task: str = ""
    output: str = ""
    share: bool = True
    higher_is_better: bool = True
    more: tuple[str, ...] = ()
    more_shares: tuple[bool, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    findings: tuple[str, ...] = ()

    def _heading(self) -> str:
        return f"{self.metric} on {self.n_inputs:,} inputs, {len(self.seeds)} seeds"

    def _rows(self) -> tuple[list[str], list[list[str]]]:
        def word(value: float, share: bool) -> str:
            return written(value, "share" if share else "number")

        def line(name: str, value: float, std: str, more: Sequence[float]) -> list[str]:
            others = [word(*each) for each in zip(more, self.more_shares, strict=True)]
            return [name, word(value, self.share), std, *others]

        points = [
            line(f"{p.samples} ({p.sampler})", p.mean, word(p.std, self.share), p.more)
            for p in self.points
        ]
        beside = [line(each.name, each.value, "", each.more) for each in self.neighbours]
        return ["samples", self.metric, "std", *self.more], [*points, *beside]

    def _records(self) -> Sequence[dict[str, Any]]:
        return evaluation_records(self)

    def _sentences(self) -> Sequence[str]:
        return [*self.findings, *self.notes]

    def loss(self, value: float) -> float | None:
        """Return how much worse a value is than the float model's; None without one.

        Args:
            value: of the main metric.
        """
        if self.float_value is None:
            return None
        fall = self.float_value - value
        return fall if self.higher_is_better else -fall

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON; numbers that are not finite become None."""
        found: dict[str, Any] = finite(asdict(self))
        return found


def evaluation_records(found: Evaluation) -> list[dict[str, Any]]:
    """Return one row per model, number of samples, seed and metric.

    Metrics other than the main one are known as means over the seeds: their seed is None.

    Args:
        found: of `evaluate`.
    """
    rows: list[dict[str, Any]] = []

    def add(model: dict[str, Any], metric: str, value: float | None, **more: Any) -> None:
        seed, output = more.get("seed"), more.get("output", found.output)
        rows.append({**model, "seed": seed, "metric": metric, "output": output, "value": value})

    for point in found.points:
        sampler, mean = point.sampler, point.mean_samples
        model = _model_of("psb", point.samples, sampler, mean)
        seeds: Sequence[int | None] = found.seeds
        if len(seeds) != len(point.values):  # nothing is drawn: one run serves all seeds
            seeds = [None] * len(point.values)
        for seed, value in zip(seeds, point.values, strict=True):
            add(model, found.metric, value, seed=seed)
        _add_means(add, model, found, point)
    for each in found.neighbours:
        model = _model_of(each.name, None, None, None)
        add(model, found.metric, each.value)
        _add_means(add, model, found, each)
    return rows


def _model_of(
    name: str, samples: int | None, sampler: str | None, mean: float | None
) -> dict[str, Any]:
    return {"model": name, "samples": samples, "sampler": sampler, "mean_samples": mean}


def _add_means(
    add: Callable[..., None],
    model: dict[str, Any],
    found: Evaluation,
    each: SamplePoint | Neighbour,
) -> None:
    for metric, value in zip(found.more, each.more, strict=True):
        add(model, metric, value)
    for output in each.outputs:
        add(model, "SQNR in dB", output.sqnr_db, output=output.name)


def finite(value: Any) -> Any:
    """Return a tree of plain values without infinities and NaN, which JSON does not have.

    Args:
        value: numbers, texts, and dicts, lists and tuples of them.

    Example:
        >>> finite({"a": [1.0, float("nan")]})
        {'a': [1.0, None]}
    """
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(finite(each) for each in value)
    return None if isinstance(value, float) and not math.isfinite(value) else value

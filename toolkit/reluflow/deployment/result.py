"""The records of this room: what a converted model costs and how well it works."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LayerCost:
    """What one PSB operator stores and does.

    Attributes:
        name: of the node.
        op: "PsbConv" or "PsbMatMul".
        weight_shape: as stored, output channels first.
        weights: number of weights.
        zeros: how many of them are 0.
        bits_per_weight: stored bits, exponents and padding included.
        shift_adds: for one input and one sample a weight; None where shapes do not tell.
        adds: whether it adds another tensor to its sum before the activation.
        activation: what is fused: "none", "relu" or "clip".
        x_exponent: the calibrated exponent, None: taken from each run.
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


@dataclass(frozen=True, slots=True)
class PsbDescription:
    """What a converted model stores and does.

    Attributes:
        path: its file, None for one from memory.
        p_bits: stored bits of a probability.
        sampler: "systematic", "binomial" or "nearest".
        draws: "run" or "product".
        file_bytes: bytes of the model, external data included.
        weights: number of weights of all PSB operators.
        zeros: how many of them are 0.
        bits_per_weight: stored bits a weight, all operators together.
        shift_adds: for one input and one sample a weight; None where shapes do not tell.
        layers: the PSB operators in graph order.
        successions: sentences on multiplications without a switch between.
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

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class SamplePoint:
    """A metric at one number of samples.

    Attributes:
        samples: n.
        mean: over the seeds.
        std: standard deviation over the seeds (n - 1 in the denominator), 0 for one seed.
        values: one a seed.
    """

    samples: int
    mean: float
    std: float
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LayerSensitivity:
    """The metric with one layer alone converted, all others in floating point.

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
    """How many activations that a layer multiplies its fixed-point numbers cut off.

    Attributes:
        name: of the layer.
        saturated: activations beyond the largest fixed-point number, infinities included.
        activations: all of them.
    """

    name: str
    saturated: int
    activations: int

    @property
    def share(self) -> float:
        """Fraction in [0, 1] of the activations that saturate."""
        return self.saturated / max(1, self.activations)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How well a converted model works at each precision.

    Attributes:
        psb: what the model stores and does.
        metric: its name.
        n_inputs: number of inputs.
        seeds: of the runs.
        points: one a number of samples, ascending.
        nearest: the metric in nearest mode (samples = 0).
        float_value: the metric of the float model, None where none was given.
        float_bytes: its size.
        int8_value: the metric of ONNX Runtime's static int8 of it, None where not asked for.
        int8_bytes: its size.
        sensitivity: one a layer; empty where not asked for.
        saturation: one a layer, over all inputs in nearest mode.
        native: whether the native library ran; else the same draws were baked into the weights.
        notes: sentences on what to know.
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

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

"""Converted networks whose weights were chosen on the calibration data, by each step of tuning.

`python benchmarks/real_models.py --variants tuned_none_4 tuned_usual_4 ...` measures them.
"""

from __future__ import annotations

from collections.abc import Callable

from real.variants import Given, Variant

from reluflow.evaluation import options_of, tune
from reluflow.graph import Model, PsbOptions, to_psb

STEPS = {
    "none": "nearest codes",
    "equalise": "equalise",
    "bias": "bias",
    "feedback": "feedback",
    "feedback_bias": "feedback, bias",
    "follow_bias": "follow, bias",
    "usual": "follow, feedback, bias",
    "equalise_usual": "all four",
}
"""Steps of tuning, joined -> title."""
BITS = (2, 4)
SAMPLES = (0, 4, 16)
"""Numbers of samples; n samples draw a code of up to log2 n bits exactly."""


def _form(steps: str, p_bits: int) -> Callable[[Given], Model]:
    """Return what tunes by some steps, then converts with activations of 16 bits."""
    options = PsbOptions(p_bits=p_bits, x_bits=16)

    def build(given: Given) -> Model:
        if steps == "none":
            return to_psb(given.model, options).model
        tuned = tune(given.model, given.source, options_of(steps.split("_"), p_bits))
        return to_psb(tuned.model, options).model

    return build


TUNED: dict[str, Variant] = {
    f"tuned_{steps}_{bits}": Variant(f"{title}, {bits} bits", "psb", _form(steps, bits), SAMPLES)
    for bits in BITS
    for steps, title in STEPS.items()
}
"""Name -> form, for each number of stored bits."""

"""Running a model over a source of data."""

from __future__ import annotations

import numpy as np

from reluflow.graph import (
    Model,
    PsbNode,
    bake_samples,
    find_psb,
    psb_inputs,
    with_input_defaults,
    with_sampler,
)
from reluflow.sessions import Session, has_library, open_session

ROUNDED_BELOW = 4
"""With fewer samples than this, weights are rounded to nearest unless a sampler was requested:
no draw is then as close to the float model."""
_SUM_BITS = 14
"""The sum of a weight's draws is at most 2^14 (docs/psb-ops.md, the sampled weight)."""


class Runner:
    """Runs a converted model for any number of samples and seed.

    Attributes:
        model: the model that is run, with the requested sampler.
        native: whether the native library draws; else draws are baked into the weights.
    """

    def __init__(
        self,
        model: Model,
        threads: int | None,
        native: bool | None,
        *,
        sampler: str | None = None,
        rounded_below: int = 0,
        arena: bool = True,
    ) -> None:
        model = with_input_defaults(model).model
        self.model = model if sampler is None else with_sampler(model, sampler).model
        self._rounded_below = rounded_below if sampler is None else 0
        self._nodes = find_psb(self.model)
        self.threads = threads
        self._arena = arena
        self.native = has_library() if native is None else native
        self._sessions: dict[bool, Session] = {}

    def sampler(self, samples: int) -> str:
        """Return how a run with so many samples draws; few systematic draws may be replaced.

        A file that was converted with another sampler than the usual one keeps it.
        """
        return "nearest" if self._rounds(samples) else self._nodes[0].sampler

    def _rounds(self, samples: int) -> bool:
        return 0 < samples < self._rounded_below and all(
            node.sampler == "systematic" for node in self._nodes
        )

    def is_certain(self, samples: int) -> bool:
        """Tell whether all seeds give the same: nothing is drawn, or every n p is whole."""
        return self._rounds(samples) or all(
            is_certain(node, node.samples(samples)) for node in self._nodes
        )

    def at(self, samples: int, seed: int) -> tuple[Session, dict[str, np.ndarray]]:
        """Return a session and the inputs that choose precision and seed."""
        rounds = self._rounds(samples)
        if not self.native:
            baked = bake_samples(self._drawing(rounds), samples, seed).model
            return open_session(baked, threads=self.threads, library=False, arena=self._arena), {}
        if rounds not in self._sessions:
            self._sessions[rounds] = open_session(
                self._drawing(rounds), threads=self.threads, library=True, arena=self._arena
            )
        names = psb_inputs(self.model)
        return self._sessions[rounds], {
            names[0]: np.array(samples, np.int64),
            names[1]: np.array(seed, np.int64),
        }

    def _drawing(self, rounds: bool) -> Model:
        return with_sampler(self.model, "nearest").model if rounds else self.model


def is_certain(node: PsbNode, samples: int) -> bool:
    """Tell whether an operator's own number of samples leaves nothing to draw.

    Args:
        node: the operator.
        samples: its own number, 0 in nearest mode.
    """
    if samples == 0 or node.sampler == "nearest":
        return True
    return (
        node.sampler == "systematic"
        and "Fixed" not in node.op  # the 8-bit grid is coarser than n p
        and samples >= 1 << node.p_bits
        # D of docs/psb-ops.md: nothing is shifted out of a sum, which else is drawn for
        and (node.rounding == "half" or node.smallest <= _SUM_BITS - samples.bit_length())
    )

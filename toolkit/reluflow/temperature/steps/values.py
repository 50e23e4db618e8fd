"""Pre-activations of all sites at any state of the weights, and the curves from two of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import DataError
from reluflow.graph import Model, SwitchSite, Tap, tap, weights_as_inputs
from reluflow.temperature.crossing import CrossingCurves, curves_along

Arrays = Mapping[str, np.ndarray]
Values = NDArray[np.float64]


class ValueRuns:
    """A session with the pre-activations of some sites as outputs and the weights as inputs.

    `StepMeter.curves` keeps one, beside the session that only tells patterns: what stands behind
    a switch is cheaper to read there, but no longer tells how far it is from the threshold.

    Args:
        network: with the sites.
        sites: those to read, each of which `tap` accepts.
        names: the weights that will be fed.
        threads: of ONNX Runtime.
    """

    def __init__(
        self,
        network: Model,
        sites: Sequence[SwitchSite],
        names: Collection[str],
        threads: int | None,
    ) -> None:
        from reluflow.sessions import open_session  # onnxruntime, which a bridge never needs

        taps = tap(network, sites)
        self._taps: tuple[Tap, ...] = taps.done
        fed = weights_as_inputs(taps.model, names)
        outputs = list(dict.fromkeys(each.output for each in taps.done))
        self._session = open_session(fed.model, outputs=outputs, threads=threads)

    def curves(
        self, before: Arrays, after: Sequence[tuple[float, Arrays]], feeds: Arrays
    ) -> CrossingCurves:
        """Return the curves of all sites that see a sample.

        Args:
            before: weights of the first state.
            after: rates of steps, increasing, and the weights that each leads to.
            feeds: the inputs.

        Raises:
            DataError: no site sees a sample.
        """
        start = self._values(before, feeds)
        seen = {name for name, values in start.items() if values.size}
        if not seen:
            raise DataError("no switch site saw a sample; give data that reach one.")
        way = [(rate, self._values(weights, feeds)) for rate, weights in after]
        return curves_along(
            {name: start[name] for name in start if name in seen},
            [(rate, {name: state[name] for name in seen}) for rate, state in way],
        )

    def _values(self, weights: Arrays, feeds: Arrays) -> dict[str, Values]:
        """Return `(samples, units)` pre-activations less the threshold, by site."""
        run = self._session.run({**feeds, **weights})
        outputs = dict(zip(self._session.outputs, run, strict=True))
        return {each.site.name: _above(outputs[each.output], each) for each in self._taps}


def _above(x: np.ndarray, each: Tap) -> Values:
    wide = x.astype(np.float64) - each.site.threshold
    if wide.ndim == 0:
        return wide.reshape(1, 1)
    return np.moveaxis(wide, each.unit_axis, -1).reshape(-1, wide.shape[each.unit_axis])

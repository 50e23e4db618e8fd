"""The entropy of activation patterns with a gradient (thesis A.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from reluflow.errors import DataError, OptionError
from reluflow_torch.sites.hashing import fingerprints


def _linear(rows: Tensor) -> Tensor:
    return rows.abs().amin(1)


def _quadratic(rows: Tensor) -> Tensor:
    return rows.square().sum(1) / 2


RELAXATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "linear": _linear,
    "quadratic": _quadratic,
}
"""Potentials g of a sample in its cell (A.3, A.4); the gradient of g stands for that of a count."""


def pattern_entropy(
    preactivations: Tensor, relaxation: str = "quadratic", *, unit_axis: int = 1
) -> Tensor:
    """Return the entropy of the activation patterns of a batch, with a gradient.

    H = -sum (c_a / N) log2 (c_a / N) over the patterns a that occur c_a times among N samples. A
    count has no gradient; that of a potential g of each of its samples takes its place, which is 0
    where the cell ends and grows inwards: linear g = min_i |y_i|, quadratic g = 1/2 sum y_i^2. So
    dH/dy = (-log2(c_a / N) - H) / N times dg/dy: an ascent moves samples out of crowded cells, and
    deeper into rare ones.

    Args:
        preactivations: `(samples, units)`, or with further axes, whose positions are samples too.
        relaxation: "linear" or "quadratic".
        unit_axis: axis of the units.

    Returns:
        H in bits, one number; to maximise it, subtract it from a loss. A unit is active above 0.

    Raises:
        OptionError: another relaxation.
        DataError: fewer than two axes, or no sample.

    Example:
        >>> y = torch.tensor([[1.0, 2.0], [3.0, 1.0], [-1.0, 1.0], [1.0, -2.0]], requires_grad=True)
        >>> entropy = pattern_entropy(y, "linear")
        >>> entropy.backward()
        >>> float(entropy.detach()), y.grad[:, 0].tolist()
        (1.5, [-0.125, -0.0, -0.0625, 0.125])

    Reference: thesis A.1, eq. A.1 to A.4, Algorithms 3 to 5.
    """
    if relaxation not in RELAXATIONS:
        listed = ", ".join(map(repr, RELAXATIONS))
        raise OptionError(f"relaxation is {relaxation!r}; give one of {listed}.")
    if preactivations.dim() < 2 or preactivations.numel() == 0:
        raise DataError(
            f"preactivations are {list(preactivations.shape)}; give at least one sample of one "
            "unit, as (samples, units)."
        )
    rows = preactivations.movedim(unit_axis, -1).flatten(0, -2)
    keys = fingerprints(rows.detach() > 0)
    _, owner, counts = torch.unique(keys, dim=0, return_inverse=True, return_counts=True)
    potential = RELAXATIONS[relaxation](rows)
    # What is added is exactly 0; it carries the gradient of the counts.
    relaxed = counts.to(rows).index_add(0, owner, potential - potential.detach())
    share = relaxed / relaxed.sum()
    entropy: Tensor = -(share * share.log2()).sum()
    return entropy


class PatternEntropy:
    """Takes the entropy of the patterns before each ReLU module of a model while attached.

    Args:
        model: whose `nn.ReLU` modules are watched.
        relaxation: "linear" or "quadratic", as of `pattern_entropy`.

    Raises:
        OptionError: another relaxation, or a model without `nn.ReLU` modules.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> with PatternEntropy(model) as entropy:
        ...     loss = model(torch.randn(64, 2)).square().mean()
        ...     sites = entropy.take()
        ...     (loss - 0.1 * sum(sites.values())).backward()
        >>> list(sites), 0 < float(sites["1"].detach()) < 4
        (['1'], True)

    Reference: thesis A.1.2.
    """

    def __init__(self, model: nn.Module, relaxation: str = "quadratic") -> None:
        if relaxation not in RELAXATIONS:
            listed = ", ".join(map(repr, RELAXATIONS))
            raise OptionError(f"relaxation is {relaxation!r}; give one of {listed}.")
        self._relaxation = relaxation
        self._sites = {name: m for name, m in model.named_modules() if isinstance(m, nn.ReLU)}
        if not self._sites:
            raise OptionError(
                "model has no nn.ReLU modules to watch; give one with such modules, or call "
                "pattern_entropy on its pre-activations."
            )
        self._seen: dict[str, Tensor] = {}
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> PatternEntropy:
        for name, module in self._sites.items():

            def note(module: nn.Module, args: tuple[Any, ...], name: str = name) -> None:
                # in place a ReLU overwrites its input, which the gradient is taken at
                inplace = getattr(module, "inplace", False)
                y = args[0].clone() if inplace else args[0]
                self._seen[name] = pattern_entropy(y, self._relaxation)

            self._handles.append(module.register_forward_pre_hook(note))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def take(self) -> dict[str, Tensor]:
        """Return name of each site that ran -> its entropy in bits in the last pass, and forget."""
        seen, self._seen = self._seen, {}
        return seen

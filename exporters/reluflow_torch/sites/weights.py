"""The weights that a forward pass ran with, to check later whether they are still the same."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reluflow_torch.sites.modules import all_modules


class WeightMarks:
    """The parameters of a model at one moment; equal only where nothing has touched them.

    Recorded are the identities of the tensors, where their values are stored, how often these were
    written to and, since writing through `.data` leaves no trace, the norm of each. A value may
    also return after a detour: equality errs on the safe side, except for a change without a trace
    that leaves every norm the same.

    Args:
        model: whose parameters are noted.
        with_values: whether the norms are noted too; without, writing through `.data` is not seen.

    Example:
        >>> model = nn.Linear(2, 2)
        >>> before = WeightMarks(model)
        >>> before == WeightMarks(model)
        True
        >>> _ = model.weight.data.mul_(1.01)
        >>> before == WeightMarks(model)
        False
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, model: nn.Module, *, with_values: bool = True) -> None:
        found = {
            id(weight): weight
            for module in all_modules(model)
            for weight in module._parameters.values()
            if weight is not None
        }
        weights = [w for w in found.values() if not nn.parameter.is_lazy(w)]
        self._is_known = torch._C._functorch.peek_interpreter_stack() is None
        self._marks: list[tuple[int, int, int]] = []
        self._norms: list[list[Tensor]] | None = []
        if self._is_known:
            self._marks = [(id(w), w.data_ptr(), w._version) for w in weights]
            self._norms = _norms(weights) if with_values else None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WeightMarks):
            return NotImplemented
        if self._norms is None or other._norms is None:
            return self._is_known and other._is_known and self._marks == other._marks
        return self._marks == other._marks and self.same_values(other)

    def leave_traces(self, later: WeightMarks) -> bool:
        """Tell whether the marks alone told that the values are others, if they are.

        Args:
            later: of the same model, at a later moment.
        """
        if self._norms is None or later._norms is None or self._marks != later._marks:
            return True
        return self.same_values(later)

    def same_values(self, other: WeightMarks) -> bool:
        """Tell whether the values are those of the other moment, whatever happened in between."""
        return (
            self._is_known
            and other._is_known
            and self._norms is not None
            and other._norms is not None
            and len(self._norms) == len(other._norms)
            and all(
                torch.equal(torch.stack(a), torch.stack(b))
                for a, b in zip(self._norms, other._norms, strict=True)
            )
        )


def _norms(weights: Sequence[Tensor]) -> list[list[Tensor]]:
    """Return the norm of each tensor, computed together by kind, since mixed lists are slow."""
    groups: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for weight in weights:
        groups.setdefault((weight.dtype, weight.device), []).append(weight.detach())
    with torch.no_grad():
        return [list(torch._foreach_norm(group)) for group in groups.values()]

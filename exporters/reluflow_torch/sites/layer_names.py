"""Which module produced a tensor: gives sites the name of the layer that feeds them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

_aten = torch.ops.aten


def _identities(names: str) -> frozenset[int]:
    """Return the identities of all overloads of some operators, including in-place ones."""
    packets = [
        getattr(_aten, name + ending, None) for name in names.split() for ending in ("", "_")
    ]
    return frozenset(
        id(getattr(packet, overload))
        for packet in packets
        if packet is not None
        for overload in packet.overloads()
    )


_MAKERS = _identities(
    "convolution _convolution addmm mm bmm baddbmm linear _addmm_activation mkldnn_convolution"
)
_NORMS = _identities(
    "native_batch_norm cudnn_batch_norm miopen_batch_norm _native_batch_norm_legit "
    "_batch_norm_with_update _batch_norm_no_update native_group_norm native_layer_norm"
)
_KEEPERS = _identities(
    "add sub rsub mul div neg view _unsafe_view reshape transpose permute t unsqueeze squeeze "
    "slice split select clone _to_copy expand native_dropout alias detach minimum clamp_max"
)


class LayerNames:
    """Follows which module's weights produced a tensor, through operators that keep units apart.

    A sum follows its first operand that comes from a layer; a normalisation is named itself where
    no layer comes before it; an activation ends the search. The site finder for files follows the
    same rules.
    """

    def __init__(self) -> None:
        self._made: Any = WeakTensorKeyDictionary()

    def clear(self) -> None:
        """Forget all tensors."""
        self._made = WeakTensorKeyDictionary()

    def of(self, x: Tensor) -> str:
        """Return the path of the module that feeds a tensor, "" where there is none."""
        name: str = self._made.get(x, "")
        return name

    def see(self, key: int, args: tuple[Any, ...], result: Any, path: str) -> None:
        """Take note of a call that has run.

        Args:
            key: identity of the operator.
            args: its positional arguments.
            result: what it returned.
            path: of the module that runs.
        """
        if key in _MAKERS:
            name = path
        elif key in _KEEPERS or key in _NORMS:
            given = (self.of(x) for x in args if isinstance(x, Tensor))
            name = next(filter(None, given), path if key in _NORMS else "")
        else:
            name = ""
        for made in result if isinstance(result, tuple | list) else (result,):
            if isinstance(made, Tensor) and (name or made in self._made):
                self._made[made] = name

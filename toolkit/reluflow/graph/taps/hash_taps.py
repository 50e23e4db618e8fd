"""Hashing inside the graph: a tap delivers fingerprints instead of pre-activations."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from onnx import TensorProto, helper

from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import OWN_DOMAIN
from reluflow.graph.rewrite.contract import Refused, Rewritten
from reluflow.graph.rewrite.draft import Draft, retain
from reluflow.graph.taps.tap import Tap

OP, _VERSION = "PatternHash", 1


@dataclass(frozen=True, slots=True)
class HashedTap:
    """The outputs with the hashed patterns of a site; part of what `hash_taps` returns.

    Attributes:
        keys: output with the int64 fingerprints, `[..., 2]`: the axes of the pre-activation without
            that of the units.
        active: output with the int64 `[units]` samples in which each unit was active.
        nonfinite: output with the int64 number of NaN and infinite values.
    """

    keys: str
    active: str
    nonfinite: str


def hash_taps(
    model: Model, taps: Sequence[Tap], *, keep: Collection[str], seed: int
) -> Rewritten[tuple[HashedTap | None, ...]]:
    """Put a PatternHash after every float32 tap, so that 16 bytes per sample leave the session.

    Args:
        model: the tapped model, not changed.
        taps: its taps.
        keep: outputs that stay, those of the model before it was tapped.
        seed: of the random words, an unsigned 64-bit number.

    Returns:
        The rewritten model, which needs the native library to run, with one entry for each tap:
        its outputs, or None where it stays as it is.

    Example:
        >>> from reluflow.graph import find_sites, load, tap
        >>> model = load("models/fashion_resnet8.onnx")
        >>> tapped = tap(model, find_sites(model)[:1])
        >>> result = hash_taps(tapped.model, tapped.done, keep=model.outputs, seed=0)
        >>> result.done[0].keys in result.model.outputs
        True

    Reference: docs/spec.md, section 2, default hash.
    """
    draft = Draft(model)
    proto = draft.proto
    ranks = {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in proto.graph.output
        if value.type.tensor_type.elem_type == TensorProto.FLOAT
        and value.type.tensor_type.HasField("shape")
    }
    hashed = tuple(
        _hash(draft, tap, ranks[tap.output], seed) if tap.output in ranks else None for tap in taps
    )
    whole = {tap.output for tap, found in zip(taps, hashed, strict=True) if found is None}
    gone = {tap.output for tap in taps} - whole - set(keep)
    retain(proto.graph.output, lambda value: value.name not in gone)
    if any(hashed) and all(entry.domain != OWN_DOMAIN for entry in proto.opset_import):
        proto.opset_import.append(helper.make_opsetid(OWN_DOMAIN, _VERSION))
    refused = tuple(
        Refused(tap.site.name, tap.site.op, "its tensor is not float32 or of unknown rank")
        for tap, found in zip(taps, hashed, strict=True)
        if found is None
    )
    return draft.finish(hashed, refused)


def _signed(seed: int) -> int:
    """Return the 64 bits of a seed as the signed integer that an ONNX attribute stores."""
    return seed - (1 << 64) if seed >> 63 else seed


def _hash(draft: Draft, tap: Tap, rank: int, seed: int) -> HashedTap:
    found = HashedTap(
        *(draft.names.fresh(f"{tap.output}_{part}") for part in ("keys", "on", "bad"))
    )
    node = helper.make_node(
        OP,
        [tap.output],
        [found.keys, found.active, found.nonfinite],
        domain=OWN_DOMAIN,
        threshold=float(tap.site.threshold),
        unit_axis=tap.unit_axis,
        seed=_signed(seed),
    )
    draft.proto.graph.node.append(node)
    shapes: dict[str, list[int | None]] = {
        found.keys: [None] * (rank - 1) + [2],
        found.active: [None],
        found.nonfinite: [],
    }
    for name, shape in shapes.items():
        draft.proto.graph.output.append(
            helper.make_tensor_value_info(name, TensorProto.INT64, shape)
        )
    return found

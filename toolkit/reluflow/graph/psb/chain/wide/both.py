"""Chains of both widths in one model: bytes where they are fine enough, int16 elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from reluflow.graph.proto.model import Model
from reluflow.graph.psb.chain.chain_psb import chain_psb
from reluflow.graph.psb.chain.changes import ChainChanges
from reluflow.graph.psb.chain.wide.chain16 import Chain16Changes, chain_psb16
from reluflow.graph.rewrite.contract import Refused, Rewritten
from reluflow.psb.fixed import FixedFormat


def chain_both(
    model: Model,
    formats: Mapping[str, FixedFormat],
    exponents: Mapping[str, int],
    alone: bool = True,
) -> Rewritten[ChainChanges]:
    """Let PSB operators pass bytes where formats are given, and the others int16.

    Between the two a tensor is a float.

    Args:
        model: of `to_psb`, not changed.
        formats: tensor -> what its bytes stand for, as for `chain_psb`.
        exponents: tensor -> f of its int16 v 2^-f, as for `chain_psb16`.
        alone: as for `chain_psb16`.

    Returns:
        The new model, what joined either kind of chain, and what joined neither, with the reason.

    Raises:
        ModelError: the model has no PSB operator.
        OptionError: an exponent is out of range.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load, to_psb
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,1,4] x) => (float[N,1,4] y) <float[1,1,1] w = {0.5}>
        ...     { [one] h = Conv(x, w) r = Relu(h) [two] y = Conv(r, w) }''')
        >>> psb = to_psb(load(proto)).model
        >>> formats = {"x": FixedFormat(5, 128), "r": FixedFormat(7, 0)}
        >>> found = chain_both(psb, formats, {"r": 10, "y": 11})
        >>> [node.op for node in found.done.nodes], found.done.begins
        (['FromFixedConv', 'FixedConv16'], ('x', 'r'))

    Reference: docs/psb.md, chains.
    """
    if not formats:
        return _as_chains(chain_psb16(model, exponents, alone))
    few = chain_psb(model, formats)
    if not few.done.nodes:
        return _as_chains(chain_psb16(model, exponents, alone))
    many = chain_psb16(few.model, exponents, alone)
    joined = set(many.done.nodes)
    reasons = {each.node: each for each in many.refused}
    left = [reasons.pop(each.node, each) for each in few.refused if each.node not in joined]
    changes = ChainChanges(
        (*few.done.nodes, *many.done.chained),
        (*few.done.begins, *many.done.begins),
        (*few.done.ends, *many.done.ends),
    )
    return Rewritten(many.model, changes, _unique([*left, *reasons.values()]), many.notes)


def _as_chains(wide: Rewritten[Chain16Changes]) -> Rewritten[ChainChanges]:
    done = wide.done
    changes = ChainChanges(done.chained, done.begins, done.ends)
    return Rewritten(wide.model, changes, wide.refused, wide.notes)


def _unique(refused: list[Refused]) -> tuple[Refused, ...]:
    return tuple({each.node: each for each in refused}.values())

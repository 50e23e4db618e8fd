"""Drawing the samples of a converted model once and storing the result."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from reluflow.errors import ModelError
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import PsbPlace
from reluflow.graph.psb.factors import drop_unread, own_samples, read_count
from reluflow.graph.psb.nodes import code_of, passes_bytes, psb_places
from reluflow.graph.rewrite.contract import Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import attribute, name_of
from reluflow.psb import (
    LARGEST_NIBBLE,
    MAX_SAMPLES,
    NIBBLE_BITS,
    SCALE_BITS,
    PsbCode,
    draws,
    integer_weights,
    pack,
)
from reluflow.psb.fixed import GRID_BITS, grid_weights

_P_BITS = 16
"""Bits of the baked code: k / n fits exactly for every n, and so does every small w'."""


def bake_samples(
    model: Model, samples: int | Mapping[str, int], seed: int = 0
) -> Rewritten[tuple[str, ...]]:
    """Return a converted model whose weights are what one run would draw.

    Every probability becomes k / n in 16 bits and the sampler "nearest", which gives exactly k
    again: without random bits and without the native library, the new model gives what the old one
    gives with the library for the same samples and seed.

    Args:
        model: a converted model, not changed.
        samples: n, one of 1, 2, 4, ..., 64; 0 is n = 64 with the nearest sampler. Or operator ->
            its own n, 0 for those that are not named.
        seed: of the run.

    Returns:
        The new model, and the names of its PSB operators.

    Raises:
        ModelError: a node draws samples for every product, which fixed weights cannot reproduce.
        OptionError: samples is not among the accepted numbers.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import bake_samples, find_psb, load, to_psb
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { h = MatMul(x, w) y = Relu(h) }''')
        >>> converted = to_psb(load(proto)).model
        >>> baked = bake_samples(converted, samples=4, seed=1).model
        >>> [(node.sampler, node.p_bits) for node in find_psb(baked)]
        [('nearest', 16)]

    Reference: docs/psb-ops.md, sampled weight; thesis eq. 4.8.
    """
    editor = Editor(model)
    places = psb_places(editor)
    for place, node in places:
        if attribute(node, "draws", "run") != "run":
            raise ModelError(
                f"node {name_of(node)!r} draws samples for every product, which cannot be baked; "
                "convert the model with draws='run'."
            )
        if isinstance(samples, int):
            factor = read_count(editor, node.input[PsbPlace.SAMPLES]).factor
            own = own_samples(samples, factor)
        else:
            own = samples.get(name_of(node), 0)
        _bake(place, node, own, seed)
        number = np.array(own or MAX_SAMPLES, np.int64)
        count = place.add_initializer("samples", "baked", number)
        place.set_input(node, PsbPlace.SAMPLES, count)
    names = tuple(name_of(node) for _, node in places)
    drop_unread(editor)
    return editor.finish(names)


def _bake(editor: Editor, node: NodeProto, samples: int, seed: int) -> None:
    planes, emax = (editor.constant(name) for name in node.input[PsbPlace.W : PsbPlace.EMAX + 1])
    assert planes is not None and emax is not None
    code = code_of(node, planes, emax)
    sampler = str(attribute(node, "sampler", "systematic"))
    stream = int(str(attribute(node, "stream", 0)))
    if passes_bytes(node):
        drawn = grid_weights(code, samples, sampler, seed, stream).astype(np.int64)
        _put(editor, node, _words_of(drawn, GRID_BITS), code.emax)
        return
    k = draws(code, samples, sampler, seed, stream)
    q = np.minimum(k * ((1 << _P_BITS) // (samples or MAX_SAMPLES)), (1 << _P_BITS) - 1)
    high = code.words >> code.p_bits
    words = ((high << np.uint32(_P_BITS)) | q.astype(np.uint32)).astype(np.uint32)
    words[code.nibble == 0] = 0
    if code.rounding == "carried":
        drawn = integer_weights(code, samples, sampler, seed, stream).astype(np.int64)
        small = _is_shifted_out(code, samples or MAX_SAMPLES)
        words = np.where(small, _words_of(drawn, SCALE_BITS), words)
    _put(editor, node, words, code.emax)


def _put(
    editor: Editor, node: NodeProto, words: NDArray[np.uint32], emax: NDArray[np.int8]
) -> None:
    """Give a node the words of its draws, which rounding to nearest leaves as they are."""
    editor.put_constant(node, PsbPlace.W, pack(PsbCode(words, emax, _P_BITS)), "", "baked")
    for entry in [a for a in node.attribute if a.name in ("p_bits", "sampler")]:
        node.attribute.remove(entry)
    node.attribute.append(helper.make_attribute("p_bits", _P_BITS))
    node.attribute.append(helper.make_attribute("sampler", "nearest"))


def _is_shifted_out(code: PsbCode, n: int) -> NDArray[np.bool_]:
    j = LARGEST_NIBBLE - code.nibble
    return (code.nibble > 0) & (j > SCALE_BITS - n.bit_length() + 1)


def _words_of(w: NDArray[np.int64], scale: int) -> NDArray[np.uint32]:
    """Return the words whose mean is exactly w 2^-scale of the largest, so that nothing is rounded.

    Args:
        w: the drawn weights, |w| < 2^(scale + 1).
        scale: bits that j = 0 leaves for a weight, 6 or 13.
    """
    size = np.abs(w)
    e = np.frexp(np.maximum(size, 1).astype(np.float64))[1] - 1
    q = (size << (_P_BITS - e)) - (1 << _P_BITS)
    nibble = LARGEST_NIBBLE - scale + e
    words = (w < 0).astype(np.int64) << (_P_BITS + NIBBLE_BITS) | nibble << _P_BITS | q
    return np.where(w == 0, 0, words).astype(np.uint32)

"""Drawing the samples of a converted model once and storing the result."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from reluflow.errors import ModelError
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import PsbPlace
from reluflow.graph.psb.nodes import code_of, is_psb
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

_P_BITS = 16
"""Bits of the baked code: k / n fits exactly for every n, and so does every small w'."""


def bake_samples(model: Model, samples: int, seed: int = 0) -> Rewritten[tuple[str, ...]]:
    """Return a converted model whose weights are what one run would draw.

    Every probability becomes k / n in 16 bits and the sampler "nearest", which gives exactly k
    again: without random bits and without the native library, the new model gives what the old one
    gives with the library for the same samples and seed.

    Args:
        model: a converted model, not changed.
        samples: n, one of 1, 2, 4, ..., 64; 0 is n = 64 with the nearest sampler.
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
    nodes = [node for node in editor.nodes if is_psb(node)]
    count = editor.add_initializer("samples", "baked", np.array(samples or MAX_SAMPLES, np.int64))
    for node in nodes:
        if attribute(node, "draws", "run") != "run":
            raise ModelError(
                f"node {name_of(node)!r} draws samples for every product, which cannot be baked; "
                "convert the model with draws='run'."
            )
        _bake(editor, node, samples, seed)
        editor.set_input(node, PsbPlace.SAMPLES, count)
    return editor.finish(tuple(map(name_of, nodes)))


def _bake(editor: Editor, node: NodeProto, samples: int, seed: int) -> None:
    planes, emax = (editor.constant(name) for name in node.input[PsbPlace.W : PsbPlace.EMAX + 1])
    assert planes is not None and emax is not None
    code = code_of(node, planes, emax)
    sampler = str(attribute(node, "sampler", "systematic"))
    stream = int(str(attribute(node, "stream", 0)))
    k = draws(code, samples, sampler, seed, stream)
    q = np.minimum(k * ((1 << _P_BITS) // (samples or MAX_SAMPLES)), (1 << _P_BITS) - 1)
    high = code.words >> code.p_bits
    words = ((high << np.uint32(_P_BITS)) | q.astype(np.uint32)).astype(np.uint32)
    words[code.nibble == 0] = 0
    if code.rounding == "carried":
        drawn = integer_weights(code, samples, sampler, seed, stream).astype(np.int64)
        words = np.where(_is_shifted_out(code, samples or MAX_SAMPLES), _words_of(drawn), words)
    editor.put_constant(node, PsbPlace.W, pack(PsbCode(words, code.emax, _P_BITS)), "", "baked")
    for entry in [a for a in node.attribute if a.name in ("p_bits", "sampler")]:
        node.attribute.remove(entry)
    node.attribute.append(helper.make_attribute("p_bits", _P_BITS))
    node.attribute.append(helper.make_attribute("sampler", "nearest"))


def _is_shifted_out(code: PsbCode, n: int) -> NDArray[np.bool_]:
    j = LARGEST_NIBBLE - code.nibble
    return (code.nibble > 0) & (j > SCALE_BITS - n.bit_length() + 1)


def _words_of(w: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return the words whose mean is exactly w', so that nothing is rounded; |w'| <= 64."""
    size = np.abs(w)
    e = np.frexp(np.maximum(size, 1).astype(np.float64))[1] - 1
    q = (size << (_P_BITS - e)) - (1 << _P_BITS)
    words = (w < 0).astype(np.int64) << (_P_BITS + NIBBLE_BITS) | (e + 2) << _P_BITS | q
    return np.where(w == 0, 0, words).astype(np.uint32)

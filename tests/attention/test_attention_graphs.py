"""Two passes over random converted graphs: strides, dilations, joins, resizing, every form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from spatial.graphs import (
    INPUT,
    Maker,
    activation,
    addition,
    convolution,
    joining,
    pooling,
    resizing,
)

from reluflow.attention import AttentionSession, open_pass, pixels_of
from reluflow.graph import Model, chain_psb, chain_psb16, expose, load, psb_inputs, to_psb
from reluflow.psb.fixed import FixedFormat
from reluflow.sessions import open_session

KINDS = (convolution, convolution, convolution, pooling, resizing, joining, addition, activation)


def grown(seed: int) -> tuple[Maker, Model]:
    """Return a random graph with at least three convolutions, converted."""
    made = Maker(seed)
    last = convolution(made, INPUT)
    while len(made.nodes) < 7:
        before = len(made.nodes), len(made.stored), dict(made.shapes)
        after = made.pick(*KINDS)(made, last)
        if all(4 <= size <= 30 for size in made.shapes[after][2:]):
            last = after
        else:
            del made.nodes[before[0] :], made.stored[before[1] :]
            made.shapes = before[2]
    last = convolution(made, last)
    return made, to_psb(load(made.model(last))).model


def chained(model: Model, x: np.ndarray, form: str) -> Model:
    """Return a model in which chains pass bytes or int16, with formats of one run."""
    names = [name for node in model._proto.graph.node for name in node.output if name]
    session = open_session(expose(model, names).model, threads=1)
    zeros = dict.fromkeys(psb_inputs(model), np.array(0, np.int64))
    values = dict(zip(session.outputs, session.run({INPUT: x, **zeros}), strict=True)) | {INPUT: x}
    floats = {k: v for k, v in values.items() if v.dtype == np.float32}
    most = {name: max(float(np.abs(v).max()), 1e-6) for name, v in floats.items()}
    if form == "int16":
        wide = {name: math.floor(math.log2(2000 / top)) for name, top in most.items()}
        return chain_psb16(model, wide).model
    narrow = {
        name: FixedFormat(math.floor(math.log2(120 / top)), 128) for name, top in most.items()
    }
    return chain_psb(model, narrow).model


@pytest.mark.parametrize("seed", range(15))
def test_random_graphs(seed: int) -> None:
    form = ("floats", "bytes", "int16")[seed % 3]
    made, model = grown(seed + 40)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(made.shapes[INPUT]).astype(np.float32)
    if form != "floats":
        model = chained(model, x, form)
    feeds, threads = {INPUT: x}, 1 + seed % 2
    skips, where = (AttentionSession(model, threads=threads, native=n) for n in (True, False))
    [output] = model.outputs
    passes = {n: open_pass(model, n, threads=1).run(feeds)[0][0][output] for n in (2, 16)}
    sizes = x.shape[2:]
    blocks = rng.random(tuple(-(-size // 3) for size in sizes)) < 0.3
    masks = (
        np.ones(sizes, bool),
        np.zeros(sizes, bool),
        rng.random(sizes) < 0.03,
        pixels_of(blocks, 3, sizes),
    )
    for number, mask in enumerate(masks):
        found, wanted = (
            each.run(feeds, (2, 16), mask, margin=number // 3) for each in (skips, where)
        )
        np.testing.assert_array_equal(found.answers[output], wanted.answers[output])
        np.testing.assert_array_equal(found.first[output], passes[2])
        if number < 2:
            np.testing.assert_array_equal(found.answers[output], passes[(16, 2)[number]])

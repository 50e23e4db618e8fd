"""Operators in the bodies of If, Loop and Scan: converted like those of the main graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from body_models import MODELS, branches, feeds, loop, model_of, nested, scan, walk_nodes
from onnx import helper, numpy_helper
from rewriting import close

from reluflow.errors import ModelError, OptionError
from reluflow.graph import (
    Model,
    PsbOptions,
    bake_samples,
    chain_psb,
    count_saturation,
    find_psb,
    find_sites,
    find_successions,
    load,
    plan_psb,
    prune,
    psb_alone,
    psb_in_floats,
    tap,
    to_psb,
    with_own_samples,
    with_sample_factors,
    with_sampler,
    with_wide_activations,
    without_input_defaults,
)
from reluflow.psb.fixed import FixedFormat
from reluflow.sessions import open_session

FULL = PsbOptions(p_bits=16, x_bits=16)
DEPTH = {"If": 3, "Loop": 3, "Scan": 5, "If in a Loop": 5}
"""Operators on the longest way through a model, iterations counted."""
DRAWN = 2.0**-6
"""Of the largest output, for each operator on the way: with 64 samples a weight is wrong by less
than 2^-6 of itself, and errors cancel."""
NEAREST = 0.02
"""The same for one or two operators in nearest mode."""
WIDE = 1e-3
"""The same weights, activations of 16 bits: three layers deep a few roundings of 2^-16."""
ORDER = 1e-6
"""Sums of float32 in another order."""
CASES = [(name, sign) for name in MODELS for sign in (1, -1)]


def outputs(model: Model, given: dict[str, np.ndarray], library: bool = True) -> list[np.ndarray]:
    if not library:
        onnx.checker.check_model(model._proto, full_check=True)
    return open_session(model, threads=1, library=library).run(given)


def setting(samples: int, seed: int = 0) -> dict[str, np.ndarray]:
    return {"samples": np.array(samples), "seed": np.array(seed)}


@pytest.mark.parametrize(("name", "sign"), CASES)
def test_results_stay_within_the_bound_of_the_samples(name: str, sign: int) -> None:
    model = MODELS[name]()
    x = feeds(model, sign=sign)
    result = to_psb(model, FULL)
    assert not result.refused
    assert len(result.done.converted) == len(find_psb(result.model))
    wanted = outputs(model, x)
    for given in ({}, setting(64, 1), setting(64, 2)):
        for left, right in zip(wanted, outputs(result.model, x | given), strict=True):
            assert close(left, right, DEPTH[name] * DRAWN)
    for left, right in zip(wanted, outputs(result.model, x, library=False), strict=True):
        assert close(left, right, DEPTH[name] * DRAWN)


@pytest.mark.parametrize(("name", "sign"), CASES)
def test_float_operators_with_the_same_weights_give_the_same(name: str, sign: int) -> None:
    psb = to_psb(MODELS[name](), PsbOptions(p_bits=3)).model
    x = feeds(psb, sign=sign)
    wide = with_wide_activations(psb).model
    assert {node.x_bits for node in find_psb(wide)} == {16}
    floats = psb_in_floats(psb).model
    assert not find_psb(floats)
    for left, right in zip(outputs(floats, x, False), outputs(wide, x), strict=True):
        assert close(left, right, WIDE)


@pytest.mark.parametrize(("name", "sign"), CASES)
def test_baked_draws_are_those_of_the_library(name: str, sign: int) -> None:
    psb = to_psb(MODELS[name]()).model
    x = feeds(psb, sign=sign)
    for samples, seed in ((1, 3), (4, 7)):
        baked = bake_samples(psb, samples, seed).model
        assert {node.sampler for node in find_psb(baked)} == {"nearest"}
        drawn = outputs(psb, x | setting(samples, seed))
        for left, right in zip(drawn, outputs(baked, x, library=False), strict=True):
            assert close(left, right, ORDER)
        graph = baked._proto.graph
        stored = {t.name for t in graph.initializer} - {"seed", "n", "go", "zero", "at"}
        read = {name for node in walk_nodes(baked._proto) for name in node.input}
        assert stored <= read  # the codes that were drawn from are gone


def test_every_node_draws_for_itself_and_iterations_share_the_draw() -> None:
    model = model_of(
        """ g (float[N,6] x) => (float[N,6] y, float[N,6] z, float[4,N,6] all)
          <int64 n = {4}, bool go = {1}> {
          z = MatMul(x, w)
          y, all = Loop (n, go, x) <
            body = l (int64 i, bool c, float[N,6] s) => (bool c2, float[N,6] s2, float[N,6] out) {
              c2 = Identity(c) s2 = Identity(s) out = MatMul(x, w) }> }""",
        w=np.random.default_rng(0).normal(size=(6, 6)).astype(np.float32),
    )
    psb = to_psb(model, PsbOptions(p_bits=16)).model
    assert sorted(node.stream for node in find_psb(psb)) == [0, 1]
    planes = [t for t in psb._proto.graph.initializer if t.name.endswith("planes")]
    assert len(planes) == 1  # stored once, drawn twice
    _, main, rows = outputs(psb, feeds(psb) | setting(1, 5))
    assert all(row.tobytes() == rows[0].tobytes() for row in rows)
    assert not close(main, rows[0], 1e-2)


def test_what_is_stored_lies_in_the_main_graph_and_float_weights_go() -> None:
    psb = to_psb(branches()).model
    graph = psb._proto.graph
    names = {tensor.name for tensor in graph.initializer}
    assert not names & {"w", "v", "own"}
    owner = next(node for node in graph.node if node.op_type == "If")
    for entry in owner.attribute:
        assert not entry.g.initializer
        for node in entry.g.node:
            assert {"samples", "seed"} <= set(node.input) and set(node.input[1:3]) <= names


def test_weights_that_a_float_operator_still_reads_stay() -> None:
    options = PsbOptions(exclude=("inner",))
    result = to_psb(branches(), options)
    assert {tensor.name for tensor in result.model._proto.graph.initializer} >= {"v"}
    assert sorted(each.reason for each in result.refused) == ["it is excluded"] * 2
    assert [each.psb.name for each in result.done.converted] == ["first", "last"]


def test_names_are_unique_in_the_whole_model() -> None:
    plan = plan_psb(branches())
    names = [node.name for node in plan.done.nodes]
    assert names == ["first", "inner", "last", "inner_2"]
    assert [node.inside for node in plan.done.nodes] == ["", "choose", "choose", "choose"]
    assert [node.local for node in plan.done.nodes] == [False, False, True, False]
    assert [node.psb.name for node in to_psb(plan).done.converted] == names
    with pytest.raises(OptionError, match="exclude names 'inner_3', which is no node of the model"):
        plan_psb(branches(), PsbOptions(exclude=("inner_3",)))


def test_branches_with_the_same_names_for_their_tensors_are_told_apart() -> None:
    model = model_of(
        """ g (float[N,4] x, bool c) => (float[N,3] y) {
          y = If (c) < then_branch = t () => (float[N,3] r) { h = MatMul(x, u) r = Relu(h) },
                       else_branch = e () => (float[N,3] r) { h = MatMul(x, v) r = Neg(h) } > }""",
        u=np.ones((4, 3), np.float32),
        v=np.full((4, 3), 0.5, np.float32),
    )
    result = to_psb(model, FULL)
    found = [(each.psb.name, each.psb.activation, each.merged) for each in result.done.converted]
    assert found == [("h", "relu", ("r",)), ("h_2", "none", ())]
    x = {"x": np.arange(8, dtype=np.float32).reshape(2, 4)}
    for condition in (True, False):
        given = x | {"c": np.array(condition)}
        assert close(outputs(model, given)[0], outputs(result.model, given)[0], WIDE)


@pytest.mark.parametrize("name", MODELS)
def test_one_operator_alone_keeps_its_draw(name: str) -> None:
    model = MODELS[name]()
    plan = plan_psb(model)
    psb = with_sample_factors(to_psb(plan).model, {plan.done.nodes[-1].name: 2}).model
    for node in find_psb(psb):
        alone = psb_alone(plan, psb, node.name).model
        (found,) = find_psb(alone)
        assert (found.name, found.stream, found.factor) == (node.name, node.stream, node.factor)
    with pytest.raises(ModelError, match="there is no PSB operator 'other' in the model"):
        psb_alone(plan, psb, "other")


@pytest.mark.parametrize("name", MODELS)
def test_numbers_of_samples_of_single_operators(name: str) -> None:
    psb = to_psb(MODELS[name]()).model
    last = find_psb(psb)[-1].name
    for factor in (4, 0.25):
        model = with_sample_factors(psb, {last: factor}).model
        assert find_psb(model)[-1].factor == factor
        back = with_sample_factors(model, {}).model
        assert [node.factor for node in find_psb(back)] == [1.0] * len(find_psb(psb))
        assert len(back._proto.graph.node) == len(psb._proto.graph.node)
    x = feeds(psb)
    own = with_own_samples(psb)
    inputs = {tensor: np.array(4) for tensor in own.done.values()}
    one, other = outputs(own.model, x | inputs), outputs(psb, x | setting(4))
    assert all(left.tobytes() == right.tobytes() for left, right in zip(one, other, strict=True))
    sampled = with_sampler(psb, "binomial", only=[last]).model
    assert [node.sampler for node in find_psb(sampled)][-1] == "binomial"


def test_inputs_without_defaults_reach_the_bodies() -> None:
    psb = without_input_defaults(to_psb(loop()).model).model
    assert [spec.name for spec in psb.inputs] == ["x", "samples", "seed"]
    left = outputs(psb, feeds(psb) | setting(4, 1))
    right = outputs(to_psb(loop()).model, feeds(psb) | setting(4, 1))
    assert left[0].tobytes() == right[0].tobytes()


PREPARED = {
    "BatchNormalization": "h = Conv(x, w) r = BatchNormalization(h, s, s, s, s)",
    "Pad": "p = Pad(x, pads) r = Conv(p, w)",
    "ConvTranspose": "r = ConvTranspose<strides = [2,2]>(x, w)",
}


@pytest.mark.parametrize("op", PREPARED)
def test_what_is_folded_or_spelled_out_in_the_main_graph_is_so_in_bodies(op: str) -> None:
    model = model_of(
        f""" g (float[1,2,4,4] x, bool c) => (float[A,B,C,D] y)
          <int64[8] pads = {{0,0,1,1,0,0,1,1}}> {{
          y = If (c) < then_branch = t () => (float[A,B,C,D] r) {{ {PREPARED[op]} }},
                       else_branch = e () => (float[A,B,C,D] q) {{ q = Neg(x) }} > }}""",
        w=np.random.default_rng(1).normal(size=(2, 2, 3, 3)).astype(np.float32),
        s=np.array([0.5, 2], np.float32),
    )
    result = to_psb(model, FULL)
    assert not result.refused
    assert [each.psb.op for each in result.done.converted] == ["PsbConv"] * len(
        find_psb(result.model)
    )
    told = [each.op for each in result.done.folded] + [each.op for each in result.done.spelled]
    assert told == [op]
    x = np.random.default_rng(2).normal(size=(1, 2, 4, 4)).astype(np.float32)
    for condition in (True, False):
        given = {"x": x, "c": np.array(condition)}
        assert close(outputs(model, given)[0], outputs(result.model, given)[0], NEAREST)
        assert close(outputs(model, given)[0], outputs(result.model, given, False)[0], NEAREST)


def test_recurrent_weights_in_a_branch_are_stored_as_psb() -> None:
    rng = np.random.default_rng(3)
    model = model_of(
        """ g (float[5,1,4] x, bool c) => (float[1,1,3] y) {
          k = MatMul(x, u)
          y = If (c) <
            then_branch = t () => (float[1,1,3] a) {
              [memory] all, a = GRU<hidden_size = 3>(k, w, r) },
            else_branch = e () => (float[1,1,3] b) {
              [other] all2, b = GRU<hidden_size = 3>(x, w, r) }> }""",
        u=rng.normal(size=(4, 4)).astype(np.float32),
        w=rng.normal(size=(1, 9, 4)).astype(np.float32),
        r=rng.normal(size=(1, 9, 3)).astype(np.float32),
    )
    result = to_psb(model, FULL)
    assert [each.node for each in result.done.decoded] == ["memory", "other"]
    given = {"x": rng.normal(size=(5, 1, 4)).astype(np.float32)}
    for condition in (True, False):
        now = given | {"c": np.array(condition)}
        assert close(outputs(model, now)[0], outputs(result.model, now)[0], NEAREST)
        assert close(outputs(model, now)[0], outputs(result.model, now, False)[0], NEAREST)


def test_what_cannot_be_converted_says_why() -> None:
    carried = model_of(
        """ g (float[3,3] x) => (float[3,3] y) <int64 n = {2}, bool go = {1}> {
          first = MatMul(x, w)
          y = Loop (n, go, first) <
            body = l (int64 i, bool c, float[3,3] s) => (bool c2, float[3,3] s2) {
              c2 = Identity(c) [square] s2 = MatMul(x, s) }> }""",
        w=np.ones((3, 3), np.float32),
    )
    result = to_psb(carried)
    assert [(each.node, each.reason) for each in result.refused] == [
        ("square", "weights 's' are computed")
    ]
    inside = model_of(
        """ g (float[3,3] x, bool c) => (float[3,3] y) {
          first = MatMul(x, w)
          y = If (c) < then_branch = t () => (float[3,3] a) {
                         v = Mul(x, x) [made] a = MatMul(first, v) },
                       else_branch = e () => (float[3,3] b) { b = Identity(first) }> }""",
        w=np.ones((3, 3), np.float32),
    )
    assert [each.reason for each in to_psb(inside).refused] == ["weights 'v' are computed"]


def test_bodies_of_other_operators_are_refused() -> None:
    body = helper.make_graph(
        [helper.make_node("MatMul", ["item", "w"], ["r"], name="each")],
        "body",
        [helper.make_tensor_value_info("item", 1, [2, 3])],
        [helper.make_tensor_value_info("r", 1, [2, 3])],
    )
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="main"),
        helper.make_node("SequenceConstruct", ["h", "x"], ["s"]),
        helper.make_node("SequenceMap", ["s"], ["t"], body=body),
        helper.make_node("ConcatFromSequence", ["t"], ["y"], axis=0),
    ]
    w = numpy_helper.from_array(np.eye(3, dtype=np.float32), "w")
    x, y = (helper.make_tensor_value_info(name, 1, [None, 3]) for name in "xy")
    graph = helper.make_graph(nodes, "g", [x], [y], [w])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for refused in (plan_psb(load(proto)).refused, to_psb(load(proto)).refused):
        assert [(r.node, r.reason) for r in refused] == [
            ("each", "it stands in a subgraph of SequenceMap")
        ]


def test_pruning_counts_the_weights_of_bodies() -> None:
    found = prune(nested(), 0.5)
    assert [each.node for each in found.done] == ["outside", "shared", "point"]
    # the first two share their weights, which are pruned once
    assert [(each.weights, each.zeros) for each in found.done] == [(81, 40), (81, 40), (9, 4)]
    x = feeds(nested())
    assert not close(outputs(nested(), x)[0], outputs(found.model, x)[0], 1e-3)
    psb = to_psb(nested(), PsbOptions(prune=0.5)).model
    assert [node.zeros for node in find_psb(psb)] == [40, 40, 4]


def test_chains_pass_bytes_in_the_main_graph_only() -> None:
    model = model_of(
        """ g (float[1,2,4,4] x, bool c) => (float[1,2,4,4] y) {
          [one] h = Conv(x, w) r = Relu(h) [two] k = Conv(r, w) t = Relu(k)
          y = If (c) < then_branch = a () => (float[1,2,4,4] p) { [inner] p = Conv(t, v) },
                       else_branch = b () => (float[1,2,4,4] q) { q = Neg(r) }> }""",
        w=np.random.default_rng(4).normal(size=(2, 2, 1, 1)).astype(np.float32),
        v=np.random.default_rng(5).normal(size=(2, 2, 1, 1)).astype(np.float32),
    )
    psb = to_psb(model).model
    formats = {"x": FixedFormat(5, 128), "r": FixedFormat(6, 0), "t": FixedFormat(5, 0)}
    found = chain_psb(psb, formats)
    assert [node.name for node in found.done.nodes] == ["one", "two"]
    assert [(r.node, r.reason) for r in found.refused if r.node == "inner"] == [
        ("inner", "it stands in a subgraph, which floats enter")
    ]
    assert [node.op for node in find_psb(found.model)] == ["FixedConv", "FromFixedConv", "PsbConv"]
    x = np.random.default_rng(6).normal(size=(1, 2, 4, 4)).astype(np.float32)
    for condition in (True, False):
        given = {"x": x, "c": np.array(condition)}
        left = outputs(psb, given)[0]
        for library in (True, False):
            assert close(left, outputs(found.model, given, library)[0], 0.05)


COUNTED: dict[str, tuple[str, int]] = {
    "Loop": (
        """y = Loop (n, go, x) <body = l (int64 i, bool c, float[N,4] s) => (bool c2, float[N,4] s2)
           { c2 = Identity(c) [inner] h = MatMul(x, w) s2 = Add(s, h) }>""",
        3,
    ),
    "Scan": (
        """y, all = Scan<num_scan_inputs = 1, body = l (float[N,4] s, float v) => (
             float[N,4] s2, float[N,4] t)
           { [inner] t = MatMul(x, w) s2 = Add(s, t) }> (x, steps)""",
        3,
    ),
    "If": (
        """y = If (go) < then_branch = a () => (float[N,4] p) { [inner] p = MatMul(x, w) },
                         else_branch = b () => (float[N,4] q) { [idle] q = MatMul(x, w) }>""",
        1,
    ),
    "If in a Loop": (
        """y = Loop (n, go, x) <body = l (int64 i, bool c, float[N,4] s) => (bool c2, float[N,4] s2)
           { c2 = Identity(c) at = Equal(i, one)
             s2 = If (at) < then_branch = a () => (float[N,4] p) { [inner] p = MatMul(x, w) },
                            else_branch = b () => (float[N,4] q) { q = Identity(s) }> }>""",
        1,
    ),
}


@pytest.mark.parametrize("kind", COUNTED)
def test_saturation_is_counted_in_bodies(kind: str) -> None:
    text, times = COUNTED[kind]
    model = model_of(
        f""" g (float[N,4] x) => (float[N,4] y) <int64 n = {{3}}, bool go = {{1}},
          int64 one = {{1}}, float[3] steps = {{1, 2, 3}}> {{
          [outer] o = MatMul(x, w) unused = Neg(o) {text} }}""",
        w=np.eye(4, dtype=np.float32),
    )
    psb = to_psb(model, PsbOptions(x_exponents={"x": 0})).model
    found = count_saturation(psb)
    onnx.checker.check_model(found.model._proto, full_check=True)
    counts = found.done
    names = [counts.saturated, counts.activations, counts.nonzero, counts.below]
    x = np.array([[5000, -3000, 0, 0.25], [1, 0.5, 2047, 2048]], np.float32)
    numbers = open_session(found.model, outputs=names, threads=1, library=False).run({"x": x})
    rows = {node.name: [int(n[at]) for n in numbers] for at, node in enumerate(counts.nodes)}
    one = [3, 8, 7, 2]
    assert rows["outer"] == one
    assert rows["inner"] == [times * number for number in one]
    assert rows.get("idle", [0] * 4) == [0] * 4


@pytest.mark.parametrize("make", [branches, loop, scan, nested])
def test_sites_in_bodies_stay_as_visible_as_they_were(make: Callable[[], Model]) -> None:
    before, after = find_sites(make()), find_sites(to_psb(make()).model)
    assert [site.untappable for site in before] == [site.untappable for site in after]


@pytest.mark.parametrize("make", [branches, loop])
def test_taps_in_bodies_see_what_the_operator_would_clip(make: Callable[[], Model]) -> None:
    psb = to_psb(make(), FULL).model
    wanted = tap(make(), find_sites(make()))
    found = tap(psb, find_sites(psb))
    assert len(found.done) == len(wanted.done) > 0
    x = feeds(psb)
    for old, new in zip(wanted.done, found.done, strict=True):
        left, right = (
            open_session(result.model, outputs=[each.output], threads=1, library=False).run(x)[0]
            for result, each in ((wanted, old), (found, new))
        )
        assert close(left, right, NEAREST)


def test_successions_are_found_inside_a_body() -> None:
    model = model_of(
        """ g (float[N,4] x, bool c) => (float[N,4] y) {
          y = If (c) < then_branch = t () => (float[N,4] r) {
                         [one] h = MatMul(x, w) k = Neg(h) [two] r = MatMul(k, w) },
                       else_branch = e () => (float[N,4] q) { q = Neg(x) } > }""",
        w=np.eye(4, dtype=np.float32),
    )
    pairs = find_successions(to_psb(model).model)
    assert [(pair.first, pair.second, pair.through) for pair in pairs] == [("one", "two", ("Neg",))]


def test_a_model_whose_only_operators_are_in_bodies_is_converted_once() -> None:
    psb = to_psb(loop()).model
    with pytest.raises(ModelError, match="holds PSB operators already"):
        to_psb(psb)


def test_old_opsets_are_raised_in_bodies_too() -> None:
    model = scan()
    proto = onnx.ModelProto.FromString(model.serialize())
    proto.opset_import[0].version, proto.ir_version = 11, 6
    old = load(proto)
    result = to_psb(old, FULL)
    assert result.model.opset[""] == 13
    x = feeds(old)
    for left, right in zip(outputs(old, x), outputs(result.model, x, False), strict=True):
        assert close(left, right, NEAREST)

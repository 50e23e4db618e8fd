"""The promises of all rewrites in one table: adding a rewrite adds a row."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rewriting import N, build, weights

import reluflow.graph as graph
from reluflow.graph import Model, PsbOptions, Rewritten
from reluflow.psb.fixed import FixedFormat

NOTE = "The file was noted."
FORMATS = {
    "x": FixedFormat(4, 128),
    "r": FixedFormat(5, 0),
    "y": FixedFormat(3, 128),
}


def network() -> Model:
    """Two layers with batch normalisation in between, of opset 12: every rewrite applies."""
    norm = {name: abs(weights(4)) + 0.5 for name in ("scale", "shift", "mean", "variance")}
    nodes = [
        N("Conv", ["x", "w"], ["h"], name="first"),
        N("BatchNormalization", ["h", *norm], ["n"], name="norm"),
        N("Relu", ["n"], ["r"], name="act"),
        N("Conv", ["r", "v"], ["y"], name="last"),
    ]
    tensors = {"w": weights(4, 4, 1, 1), "v": weights(4, 4, 1, 1), **norm}
    made = build(nodes, tensors, ("N", 4, 2, 2), opset=12)
    return Model(made._proto, notes=(NOTE,))


def padded() -> Model:
    """A convolution behind a Pad."""
    sizes = np.array([0, 0, 1, 0, 0, 0, 1, 2], np.int64)
    nodes = [N("Pad", ["x", "s"], ["p"], name="pad"), N("Conv", ["p", "w"], ["y"], name="conv")]
    made = build(nodes, {"s": sizes, "w": weights(4, 4, 1, 1)}, ("N", 4, 2, 2))
    return Model(made._proto, notes=(NOTE,))


def converted(**options: Any) -> Model:
    return graph.to_psb(network(), PsbOptions(**options)).model


def tapped() -> tuple[Model, Any]:
    made = graph.tap(network(), graph.find_sites(network()))
    return made.model, made.done


def scaled(model: Model) -> Rewritten[Any]:
    found = graph.scalable_channels(model)
    return graph.scale_channels(model, found, np.ones(found.count))


ROWS: dict[str, tuple[Callable[[], Model], Callable[[Model], Rewritten[Any]]]] = {
    "annotate": (network, lambda m: graph.annotate(m, {"act": {"dead": "0"}})),
    "bake_samples": (converted, lambda m: graph.bake_samples(m, 4)),
    "chain_psb": (converted, lambda m: graph.chain_psb(m, FORMATS)),
    "chain_both": (converted, lambda m: graph.chain_both(m, FORMATS, {"y": 7})),
    "chain_psb16": (converted, lambda m: graph.chain_psb16(m, {"x": 8, "r": 8, "y": 7})),
    "count_saturation": (converted, graph.count_saturation),
    "cut_tail": (lambda: tapped()[0], lambda m: graph.cut_tail(m, m.outputs[1:])),
    "equalise": (network, graph.equalise),
    "expose": (network, lambda m: graph.expose(m, ["h"])),
    "fold_batchnorm": (network, graph.fold_batchnorm),
    "fold_pads": (padded, graph.fold_pads),
    "hash_taps": (
        lambda: tapped()[0],
        lambda m: graph.hash_taps(m, tapped()[1], keep=["y"], seed=0),
    ),
    "inline_psb": (converted, graph.inline_psb),
    "keep_pooled_formats": (converted, graph.keep_pooled_formats),
    "label_nodes": (network, graph.label_nodes),
    "mix_passes": (
        network,
        lambda m: graph.mix_passes(m, graph.read_spatial(m, {"x": (2, 4, 2, 2)})),
    ),
    "plan_psb": (network, graph.plan_psb),
    "prune": (network, lambda m: graph.prune(m, 0.5)),
    "psb_alone": (network, lambda m: graph.psb_alone(m, converted(), "last")),
    "psb_in_floats": (converted, graph.psb_in_floats),
    "take_part": (network, lambda m: graph.take_part(m, {}, ["h"])),
    "scale_channels": (network, scaled),
    "slim_units": (
        network,
        lambda m: graph.slim_units(
            m, graph.find_sites(m), {"act": np.arange(4) == 1}, {"act": np.zeros(4, bool)}
        ),
    ),
    "spell_out": (network, graph.spell_out),
    "switches_apart": (network, graph.switches_apart),
    "tap": (network, lambda m: graph.tap(m, graph.find_sites(m))),
    "to_psb": (network, graph.to_psb),
    "to_regional": (
        converted,
        lambda m: graph.to_regional(m, graph.read_spatial(m, {"x": (2, 4, 2, 2)})),
    ),
    "unround_activations": (network, graph.unround_activations),
    "upgrade": (network, graph.upgrade),
    "use_batch_statistics": (network, lambda m: graph.use_batch_statistics(m, False)),
    "weights_as_inputs": (network, graph.weights_as_inputs),
    "with_activations": (
        converted,
        lambda m: graph.with_activations(graph.to_psb(network()), 16, {}),
    ),
    "with_byte_rounding": (network, lambda m: graph.with_byte_rounding(m, FORMATS)),
    "with_input_defaults": (lambda: converted(input_defaults=False), graph.with_input_defaults),
    "with_own_samples": (converted, graph.with_own_samples),
    "with_numbers": (
        network,
        lambda m: graph.with_numbers(m, {"h": graph.Numbers(weights(4, 4, 1, 1), np.ones(4))}),
    ),
    "with_sampler": (converted, lambda m: graph.with_sampler(m, "nearest")),
    "with_sample_factors": (converted, lambda m: graph.with_sample_factors(m, {"last": 2})),
    "with_wide_activations": (converted, graph.with_wide_activations),
    "without_input_defaults": (converted, graph.without_input_defaults),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_rewrite_makes_a_model_of_its_own_and_keeps_notes(name: str) -> None:
    make, rewrite = ROWS[name]
    given = make()
    before, notes = given.serialize(), given.notes
    result = rewrite(given)
    assert isinstance(result, Rewritten) and result.model is not given
    assert given.serialize() == before and given.notes == notes
    assert result.model.notes[0] == NOTE and result.model.notes[: len(notes)] == notes
    assert result.model.notes[len(result.model.notes) - len(result.notes) :] == result.notes
    graph.load(result.model.serialize())  # which checks it


def test_every_public_rewrite_has_a_row() -> None:
    gives = {
        name: str(inspect.signature(getattr(graph, name)).return_annotation)
        for name in graph.__all__
        if inspect.isfunction(getattr(graph, name))
    }
    assert {name for name, kind in gives.items() if kind.startswith("Rewritten")} == set(ROWS)
    assert [name for name, kind in gives.items() if kind == "Model"] == ["load", "load_apart"]

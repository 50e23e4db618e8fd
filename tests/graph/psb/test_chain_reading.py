"""What other commands say about a model with chains."""

from typing import Any

import numpy as np
import pytest
from chain_nets import PIXELS, conv, converted, kernels, network, ranged
from rewriting import N

import reluflow
from reluflow.errors import ModelError
from reluflow.graph import Model, chain_psb, find_psb, find_sites, output_makers


def chained(*nodes: Any, **tensors: np.ndarray) -> Model:
    """Return a network with two convolutions of x, w and r, v, in one chain."""
    given = {**kernels(w=(8, 3, 3, 3), v=(5, 8, 1, 1)), **tensors}
    model = converted(network(*nodes, tensors=given), p_bits=4)
    return chain_psb(model, ranged(model, IMAGES)).model


IMAGES = np.random.default_rng(2).normal(size=PIXELS).astype(np.float32)
LINEAR = [conv("x", "w", "h", "first"), N("Relu", ["h"], ["r"]), conv("r", "v", "y", "last")]
SIGMOID = [*LINEAR[:2], conv("r", "v", "k", "last"), N("Sigmoid", ["k"], ["y"])]


def test_an_output_is_made_by_the_operator_in_front_of_the_end_of_its_chain() -> None:
    assert output_makers(chained(*LINEAR)) == {"y": "FromFixedConv"}
    assert output_makers(chained(*SIGMOID))["y"] in ("Sigmoid", "FixedTable")


def test_an_empty_table_is_none() -> None:
    inner = [
        conv("x", "w", "h", "first"),
        N("HardSwish", ["h"], ["r"]),
        conv("r", "v", "y", "last"),
    ]
    model = chained(*inner)
    known = {node.name: node.activation for node in find_psb(model)}
    assert known["last"] == "none"
    relu = {node.name: node.activation for node in find_psb(chained(*LINEAR))}
    assert relu == {"first": "relu", "last": "none"}
    assert output_makers(model) == {"y": "FromFixedConv"}


def test_a_model_whose_layers_pass_bytes_has_no_switch_left() -> None:
    model = chained(*LINEAR)
    assert find_sites(model) == ()
    with pytest.raises(ModelError, match=r"no switch left, .* pass bytes .* without chains\.$"):
        reluflow.analyze(model, IMAGES)

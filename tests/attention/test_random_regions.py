"""Random networks, masks of their own for each tensor: the library against Where, to the bit."""

from functools import cached_property

import numpy as np
import pytest
from networks.psb import KERNELS
from regional.masks import KINDS, mask_of
from regional.nets import FORMS, random_net

from reluflow.graph import (
    Model,
    expose,
    mix_passes,
    psb_inputs,
    read_spatial,
    to_regional,
    without_input_defaults,
)
from reluflow.sessions import open_session

Arrays = dict[str, np.ndarray]
SEEDS = (0, 1, 4, 5)
STEPS = 9
FIRST, SECOND = 2, 16


class Passes:
    """Two passes of a converted random network, by the library and by Where."""

    def __init__(self, seed: int, form: str) -> None:
        net, self.x = random_net(seed, STEPS)
        self.model = FORMS[form](net, self.x)
        self.graph = read_spatial(self.model, {"x": self.x.shape})
        self.regional = to_regional(self.model, self.graph)
        self.mixed = mix_passes(self.model, self.graph)
        self.names = [each.tensor for each in self.mixed.done]
        self.skipped = {each.tensor for each in self.regional.done}

    @cached_property
    def first(self) -> Arrays:
        """What tensors hold after pass 1."""
        return self.values(self.model, {"x": self.x}, FIRST)

    @cached_property
    def dense(self) -> Arrays:
        """What they hold after pass 2 of everything."""
        return self.values(self.model, {"x": self.x}, SECOND)

    def numbers(self, samples: int) -> Arrays:
        given = (samples, 3)
        names = psb_inputs(self.model)
        return {name: np.array(n, "i8") for name, n in zip(names, given, strict=True)}

    def values(self, model: Model, feeds: Arrays, samples: int) -> Arrays:
        """Run a model whole."""
        session = open_session(expose(model, self.names).model, threads=1, library=True)
        run = session.run(feeds | self.numbers(samples))
        found = dict(zip(session.outputs, run, strict=True))
        return {name: found[name] for name in self.names}

    def masks(self, kind: str | None, rng: np.random.Generator) -> Arrays:
        """Return a mask for each tensor, of one kind or of any; all where nothing is skipped."""
        chosen = {}
        for name in self.names:
            own = kind or KINDS[rng.integers(len(KINDS))]
            shape = (len(self.x), *self.graph.sizes[name])
            chosen[name] = mask_of(own if name in self.skipped else "all", shape, rng)
        return chosen

    def wanted(self, masks: Arrays) -> Arrays:
        """Return what tensors hold after pass 2 by Where."""
        fed = {"x": self.x}
        for each in self.mixed.done:
            mask, axes = masks[each.tensor], self.graph.axes[each.tensor]
            shape = [1] * len(self.graph.shapes[each.tensor])
            shape[0] = len(mask)
            for at, size in zip(axes, mask.shape[1:], strict=True):
                shape[at] = size
            fed[each.region] = mask.reshape(shape)
            fed[each.base] = self.first[each.tensor]
        return self.values(self.mixed.model, fed, SECOND)

    def check(self, threads: int, masks: list[Arrays], wanted: list[Arrays]) -> None:
        """Run the library over the values of pass 1, with some masks in turn."""
        bare = without_input_defaults(self.regional.model).model
        session = open_session(bare, threads=threads, library=True)
        for chosen, expected in zip(masks, wanted, strict=True):
            state = {name: self.first[name].copy() for name in self.skipped}
            given = {each.region: chosen[each.tensor] for each in self.regional.done}
            session.run_into({"x": self.x, **given} | self.numbers(SECOND), state)
            for name, found in state.items():
                np.testing.assert_array_equal(found, expected[name], name)


def test_the_networks_have_what_pixels_pass_through() -> None:
    nets = [random_net(seed, STEPS)[0] for seed in SEEDS]
    found = {node.op_type for net in nets for node in net._proto.graph.node}
    assert found >= {"Conv", "Relu", "Add", "Mul", "Concat", "MaxPool", "AveragePool", "Resize"}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", SEEDS)
def test_each_tensor_is_mixed_to_the_bit(
    seed: int, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = Passes(seed, form)
    assert len(passes.skipped) > STEPS / 2
    rng = np.random.default_rng(seed)
    masks = [passes.masks(kind, rng) for kind in (None, None, "all", "none")]
    wanted = [passes.wanted(masks[0]), passes.wanted(masks[1]), passes.dense, passes.first]
    for number, kernel in enumerate(KERNELS):
        monkeypatch.setenv("RELUFLOW_KERNEL", kernel)
        passes.check(1 + (seed + number) % 2, masks, wanted)

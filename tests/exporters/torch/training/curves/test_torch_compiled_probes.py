"""Probes of compiled models in a graph of their own."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_nets import MILD, Constant, everything, images, mlp, same, train, vectors

from reluflow.errors import OptionError
from reluflow.temperature import ActCoolOptions, CrossingOptions
from reluflow_torch import ActCoolLR

# the compiler of torch imports modules of its own that are deprecated
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
by_aot = partial(torch.compile, backend="aot_eager")
OPTIONS = [CrossingOptions(longest=8), CrossingOptions(longest=8, short=0.1), ActCoolOptions()]


class Residual(nn.Module):
    """Convolutions with a sum, a module that is called twice, and a switch that writes in place."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.norm, self.act, self.last = nn.BatchNorm2d(8), nn.ReLU(), nn.LeakyReLU(inplace=True)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.first(x)))
        x = self.act(x + self.second(x))
        logits: Tensor = self.head(self.last(x - 0.1).mean((2, 3)))
        return logits


class Functional(Residual):
    """A network with a switch that is no module."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.relu(x))


class Broken(Residual):
    """A network that no single graph holds."""

    def forward(self, x: Tensor) -> Tensor:
        torch._dynamo.graph_break()
        return super().forward(x)


NETS: dict[str, tuple[Any, Any]] = {
    "convolutions": (Residual, images),
    "dense, with dropout": (mlp, vectors),
}


@pytest.fixture(autouse=True)
def fresh_compiler() -> None:
    torch._dynamo.reset()


def trained(
    model: nn.Module, batches: list[Any], way: str, probes: Any, options: Any
) -> tuple[ActCoolLR, list[list[float]], list[Any]]:
    called: Any = model
    if way == "in place":
        model.compile(backend="aot_eager")
    elif way == "around":
        called = by_aot(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    scheduler = ActCoolLR(
        optimizer,
        called,
        200,
        schedule=MILD,
        options=options,
        compile_probes=probes,
        examples=None,  # as probes in a graph do
    )
    torch.manual_seed(4)
    rates = train(called, optimizer, batches, scheduler)
    return scheduler, rates, everything(model, optimizer)


@pytest.mark.parametrize("options", OPTIONS, ids=["whole", "part", "fitted"])
@pytest.mark.parametrize("way", ["around", "in place"])
@pytest.mark.parametrize("kind", NETS)
def test_the_rates_are_those_of_probes_as_written(kind: str, way: str, options: Any) -> None:
    make, data = NETS[kind]
    graphs: list[int] = []

    def counted(*args: Any, **kwargs: Any) -> Any:
        graphs.append(1)
        return by_aot(*args, **kwargs)

    found, as_written = (trained(make(), data(24), way, p, options) for p in (counted, None))
    assert found[1] == [pytest.approx(rates, rel=1e-3) for rates in as_written[1]]
    assert graphs == [1]
    assert found[0].distances is not None and as_written[0].distances is not None
    assert [s.name for s in found[0].distances.sites] == [
        s.name for s in as_written[0].distances.sites
    ]
    assert [s.layer for s in found[0].distances.sites] == [
        s.layer for s in as_written[0].distances.sites
    ]


def test_the_graph_of_the_training_stays_as_it_is() -> None:
    """Equal rates make equal trainings bit for bit, and only the probes' graph is new."""

    def run(probes: Any) -> tuple[list[Any], int]:
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        model = Residual()
        called: Any = by_aot(model)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        constant = Constant(0.05)
        scheduler = ActCoolLR(optimizer, called, 40, controller=constant, compile_probes=probes)
        torch.manual_seed(4)
        train(called, optimizer, images(40), scheduler)
        assert scheduler.n_probes > 4
        return everything(model, optimizer), torch._dynamo.utils.counters["stats"]["unique_graphs"]

    (as_written, few), (compiled, more) = run(None), run(by_aot)
    assert same(as_written, compiled)
    assert more == few + 1


def test_inputs_of_another_shape_are_probed_as_written() -> None:
    model = Residual()
    batches = images(9) + images(6, batch=20) + images(9)
    found = trained(model, batches, "around", by_aot, CrossingOptions(longest=8))
    plain = trained(Residual(), batches, "around", None, CrossingOptions(longest=8))
    assert found[1] == [pytest.approx(rates, rel=1e-3) for rates in plain[1]]


@pytest.mark.parametrize(
    ("make", "reason"),
    [(Functional, "a switch is a function, not a module"), (Broken, "Unsupported")],
)
def test_what_has_no_graph_is_told_once_and_probed_as_written(make: Any, reason: str) -> None:
    with pytest.warns(RuntimeWarning, match=f"cannot be probed as a graph .{reason}") as caught:
        found = trained(make(), images(24), "around", by_aot, CrossingOptions(longest=8))
    assert len([each for each in caught if "cannot be probed" in str(each.message)]) == 1
    plain = trained(make(), images(24), "around", None, CrossingOptions(longest=8))
    assert found[1] == plain[1]


def test_a_model_that_is_not_compiled_is_refused() -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with pytest.raises(OptionError, match="model Sequential is not compiled"):
        ActCoolLR(optimizer, model, 9, compile_probes=by_aot)


@pytest.mark.slow
def test_with_the_code_of_the_default_compiler() -> None:
    model = Residual()
    called: Any = torch.compile(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    options = CrossingOptions(longest=8)
    scheduler = ActCoolLR(
        optimizer, called, 200, schedule=MILD, options=options, compile_probes=torch.compile
    )
    rates = train(called, optimizer, images(24), scheduler)
    as_written = trained(Residual(), images(24), "around", None, options)[1]
    assert rates == [pytest.approx(each, rel=1e-2) for each in as_written]

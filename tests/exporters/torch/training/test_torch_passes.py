"""Steps made of several passes, at other weights, by closures: what is measured is the step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch_nets import MILD, mlp, same, vectors

from reluflow.errors import OptionError
from reluflow.temperature import pooled
from reluflow_torch import ActCoolLR, PatternCapture, PatternMonitor, distances
from reluflow_torch.sites.weights import WeightMarks

STEPS = 20
Batches = list[tuple[Tensor, Tensor]]
Loop = Callable[[nn.Module, Optimizer, Batches], Iterator[None]]


class Sam(Optimizer):
    """Sharpness-aware minimisation as it is usually written, around another optimiser."""

    def __init__(self, weights: Any, lr: float, rho: float = 0.5) -> None:
        super().__init__(weights, {"rho": rho, "lr": lr})
        self.base_optimizer = SGD(self.param_groups, lr=lr, momentum=0.9)
        self.param_groups = self.base_optimizer.param_groups

    @torch.no_grad()
    def first_step(self) -> None:
        norm = torch.stack([w.grad.norm() for w in self.weights()]).norm()
        for weight in self.weights():
            self.state[weight]["old"] = weight.data.clone()
            weight.add_(weight.grad * self.param_groups[0]["rho"] / (norm + 1e-12))
        self.zero_grad()

    @torch.no_grad()
    def second_step(self) -> None:
        for weight in self.weights():
            weight.data = self.state[weight]["old"]
        self.base_optimizer.step()
        self.zero_grad()

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        assert closure is not None
        self.first_step()
        with torch.enable_grad():
            loss = closure()
        self.second_step()
        return loss

    def weights(self) -> list[Any]:
        return [w for group in self.param_groups for w in group["params"]]


def loss_of(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    return loss


def sam_in_two_steps(model: nn.Module, optimizer: Any, batches: Batches) -> Iterator[None]:
    for x, y in batches:
        loss_of(model, x, y)
        optimizer.first_step()
        loss_of(model, x, y)
        optimizer.second_step()
        yield


def sam_by_closure(model: nn.Module, optimizer: Any, batches: Batches) -> Iterator[None]:
    for x, y in batches:
        loss_of(model, x, y)
        optimizer.step(lambda x=x, y=y: loss_of(model, x, y))
        yield


def sam_by_hand(model: nn.Module, optimizer: Any, batches: Batches) -> Iterator[None]:
    """Writes through `.data`, which leaves no trace in the versions."""
    for x, y in batches:
        optimizer.zero_grad()
        loss_of(model, x, y)
        moves = [0.3 * w.grad.clone() for w in model.parameters()]  # type: ignore[union-attr]
        optimizer.zero_grad()
        kept = [w.data.clone() for w in model.parameters()]
        for weight, move in zip(model.parameters(), moves, strict=True):
            weight.data.add_(move)
        loss_of(model, x, y)
        for weight, old in zip(model.parameters(), kept, strict=True):
            weight.data.copy_(old)
        optimizer.step()
        yield


def by_functional_call(model: nn.Module, optimizer: Any, batches: Batches) -> Iterator[None]:
    """The gradient is taken at weights that exist for one call only."""
    for x, y in batches:
        optimizer.zero_grad()
        moved = {name: w + 0.05 * torch.sign(w) for name, w in model.named_parameters()}
        out = torch.func.functional_call(model, moved, (x,))
        nn.functional.cross_entropy(out, y).backward()
        optimizer.step()
        yield


def by_accumulation(model: nn.Module, optimizer: Any, batches: Batches) -> Iterator[None]:
    for x, y in batches:
        optimizer.zero_grad()
        for part in (slice(0, 40), slice(40, 56), slice(56, 64)):
            (nn.functional.cross_entropy(model(x[part]), y[part]) / 3).backward()
        optimizer.step()
        yield


def by_pairs(model: nn.Module, optimizer: Any, batches: Batches) -> Iterator[None]:
    """A siamese net: two passes, one loss."""
    for x, _ in batches:
        optimizer.zero_grad()
        (model(x[:32]) - model(x[32:])).square().mean().backward()
        optimizer.step()
        yield


def plain(weights: Any) -> Optimizer:
    return SGD(weights, lr=0.1, momentum=0.9)


LOOPS: dict[str, tuple[Loop, Callable[[Any], Optimizer]]] = {
    "SAM in two steps": (sam_in_two_steps, lambda w: Sam(w, lr=0.1)),
    "SAM by closure": (sam_by_closure, lambda w: Sam(w, lr=0.1)),
    "SAM by hand": (sam_by_hand, plain),
    "functional_call": (by_functional_call, plain),
    "accumulation": (by_accumulation, plain),
    "siamese": (by_pairs, plain),
}


def rate_before(optimizer: Optimizer, rates: Iterator[float]) -> Any:
    """Set the next of some rates at each step, the inner one where there is one."""
    inner = getattr(optimizer, "base_optimizer", optimizer)

    def write(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        optimizer.param_groups[0]["lr"] = next(rates)

    return inner.register_step_pre_hook(write)


@pytest.mark.parametrize("name", LOOPS)
def test_the_weights_are_those_of_a_loop_without_scheduler_at_the_same_rates(name: str) -> None:
    loop, make = LOOPS[name]
    model = mlp()
    optimizer = make(model.parameters())
    scheduler = ActCoolLR(optimizer, model, STEPS, schedule=MILD)
    torch.manual_seed(5)
    rates = []
    for _ in loop(model, optimizer, vectors(STEPS)):
        rates.append(optimizer.param_groups[0]["lr"])
        scheduler.step()
    assert len(set(rates)) > STEPS / 2
    assert scheduler.n_probes == 12
    found = [value.clone() for value in model.state_dict().values()]

    model = mlp()
    optimizer = make(model.parameters())
    rate_before(optimizer, iter(rates))
    torch.manual_seed(5)
    for _ in loop(model, optimizer, vectors(STEPS)):
        pass
    assert same(found, list(model.state_dict().values()))


def passes_of(name: str, x: Tensor) -> list[Tensor]:
    """Return the inputs of the passes of one step."""
    if name == "accumulation":
        return [x[:40], x[40:56], x[56:]]
    if name == "siamese":
        return [x[:32], x[32:]]
    return [x] if name == "functional_call" else [x, x]


def norm_net() -> nn.Module:
    """Like `mlp` without chance, so that a pass may be repeated by hand."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(12, 40),
        nn.BatchNorm1d(40),
        nn.ReLU(),
        nn.Linear(40, 24),
        nn.ReLU(),
        nn.Linear(24, 5),
    )


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("taker", ["scheduler", "monitor"])
def test_d_is_of_the_step_and_of_all_its_passes(name: str, taker: str) -> None:
    """Measured again by hand, at the weights before and after the step."""
    loop, make = LOOPS[name]
    model = norm_net()
    optimizer = make(model.parameters())
    watch: Any
    if taker == "scheduler":
        watch = ActCoolLR(optimizer, model, 9, schedule=MILD)
    else:
        watch = PatternMonitor(optimizer, model, every=1)
    batches = vectors(2)

    def patterns(x: Tensor) -> list[Any]:
        with torch.no_grad():
            found = []
            for part in passes_of(name, x):
                with PatternCapture(model) as capture:
                    model(part)
                found.append(capture.patterns)
            return found

    steps = loop(model, optimizer, batches)
    for x, _ in batches:
        kept = {key: value.clone() for key, value in model.state_dict().items()}
        before = patterns(x)
        model.load_state_dict(kept)
        next(steps)
        after = patterns(x)
        expected = pooled([distances(a, b) for a, b in zip(before, after, strict=True)])
        assert watch.distances == expected
        assert sum(site.samples for site in expected.sites) == 2 * sum(map(len, passes_of(name, x)))
        assert 0 < expected.mean_distance < 1
        if taker == "scheduler":
            assert watch.controller.samples == 2 * sum(map(len, passes_of(name, x)))
            watch.step()


def test_both_sides_of_a_gan_are_measured() -> None:
    torch.manual_seed(0)
    maker = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 12))
    critic = nn.Sequential(nn.Linear(12, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
    nets = (maker, critic)
    optimizers = [SGD(net.parameters(), lr=0.01) for net in nets]
    schedulers = [
        ActCoolLR(o, net, 10, schedule=MILD) for o, net in zip(optimizers, nets, strict=True)
    ]
    for real, _ in vectors(10):
        fake = maker(torch.randn(16, 3))
        optimizers[1].zero_grad()
        (critic(fake.detach()).mean() - critic(real).mean()).backward()
        optimizers[1].step()
        optimizers[0].zero_grad()
        (-critic(fake).mean()).backward()
        optimizers[0].step()
        for scheduler in schedulers:
            scheduler.step()
    assert [scheduler.n_probes for scheduler in schedulers] == [9, 9]
    assert schedulers[0].controller.samples == 16
    assert schedulers[1].controller.samples == 64 + 16


class Lookback(Optimizer):
    """Moves its weights before it calls the closure, and again after."""

    def __init__(self, weights: Any) -> None:
        super().__init__(weights, {"lr": 0.1})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        weights = self.param_groups[0]["params"]
        for weight in weights:
            weight.mul_(1.01)
        with torch.enable_grad():
            loss = closure()
        for weight in weights:
            weight.sub_(self.param_groups[0]["lr"] * weight.grad)
        return loss


class LineSearch(Lookback):
    """Calls the closure again after the step."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for _ in range(2):
            if closure is not None:
                with torch.enable_grad():
                    loss = closure()
            for weight in self.param_groups[0]["params"]:
                weight.sub_(self.param_groups[0]["lr"] * weight.grad)
        return loss if closure is not None else None


class Deaf(Lookback):
    """Takes a closure and does not call it."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        return None


@pytest.mark.parametrize("taker", [ActCoolLR, PatternMonitor])
@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (Lookback, "optimizer Lookback moved the weights of its step before call 1 of its closure"),
        (LineSearch, "optimizer LineSearch moved the weights of its step before call 2 of its clo"),
    ],
)
def test_optimizers_without_a_single_gradient_are_refused(
    taker: Any, kind: Any, sentence: str
) -> None:
    model = mlp()
    optimizer = kind(model.parameters())
    _watch = taker(optimizer, model)
    with pytest.raises(OptionError, match=sentence):
        optimizer.step(lambda: loss_of(model, *vectors(1)[0]))


def test_a_closure_that_is_not_called_is_refused() -> None:
    model = mlp()
    optimizer = Deaf(model.parameters())
    _scheduler = ActCoolLR(optimizer, model, 3)
    with pytest.raises(OptionError, match="optimizer Deaf was given a closure and did not call"):
        optimizer.step(lambda: loss_of(model, *vectors(1)[0]))


@pytest.mark.parametrize("make", [mlp, lambda: nn.Sequential(nn.Linear(12, 9), nn.ReLU())])
def test_a_pass_that_failed_is_no_part_of_the_step(make: Callable[[], nn.Module]) -> None:
    model = make()
    optimizer = plain(model.parameters())
    scheduler = ActCoolLR(optimizer, model, 3, schedule=MILD)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            model(torch.ones(64, 11))
    loss_of(model, *vectors(1)[0])
    optimizer.step()
    assert scheduler.controller.samples == 64 * len(
        [layer for layer in model.modules() if isinstance(layer, nn.ReLU)]
    )
    hooks = {module: len(module._forward_hooks) for module in model.modules()}
    assert sum(hooks.values()) == hooks[model] == 1


def test_passes_of_torch_func_are_made_again() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 40), nn.ReLU(), nn.Linear(40, 5))
    optimizer = plain(model.parameters())
    scheduler = ActCoolLR(optimizer, model, 3, schedule=MILD)
    x, y = vectors(1)[0]

    def loss(weights: Any) -> Tensor:
        return nn.functional.cross_entropy(torch.func.functional_call(model, weights, (x,)), y)

    grads = torch.func.grad(loss)(dict(model.named_parameters()))
    for name, weight in model.named_parameters():
        weight.grad = grads[name]
    optimizer.step()
    assert scheduler.distances is not None
    assert 0 < scheduler.distances.mean_distance < 1


def test_marks_see_every_kind_of_write() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    weight = model[0].weight
    assert isinstance(weight, nn.Parameter)

    def put(tensor: Tensor) -> None:
        model[0].weight = nn.Parameter(tensor)

    def assign(tensor: Tensor) -> None:
        weight.data = tensor

    changes: list[Callable[[], Any]] = [
        lambda: weight.data.add_(0.1),
        lambda: weight.detach().mul_(1.1),
        lambda: weight.requires_grad_(False).add_(0.1).requires_grad_(True),
        lambda: assign(weight.data.clone()),
        lambda: put(weight.detach().clone()),
    ]
    for change in changes:
        before = WeightMarks(model)
        assert before == WeightMarks(model)
        change()
        assert before != WeightMarks(model)
    assert before.same_values(WeightMarks(model))
    assert before != "weights"

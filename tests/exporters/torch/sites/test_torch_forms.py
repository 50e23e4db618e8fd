"""The table of switch forms, through a capture of the torch bridge."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from switch_forms import FOLD, FORMS, SWITCH, VECTORS, Form
from torch import Tensor, nn
from torch.nn import functional

from reluflow_torch import PatternCapture, PatternMonitor

ROWS = [pytest.param(form, id=form.name) for form in FORMS]


class Spelled(nn.Module):
    """Computes one expression of the table."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.code = compile(form.torch, form.name, "eval")
        self.names = {"torch": torch, "F": functional}
        for name, values in VECTORS.items():
            self.register_buffer(name, torch.tensor(values))

    def forward(self, x: Tensor) -> Tensor:
        names = {**self.names, **dict(self.named_buffers()), "x": x}
        return eval(self.code, names)


def inputs() -> Tensor:
    x = np.random.default_rng(5).standard_normal((64, 4)).astype(np.float32) * 3
    x[0], x[1] = 0, [0.5, 1.0, -3.0, 6.0]
    return torch.from_numpy(x)


@pytest.mark.parametrize("with_grad", [False, True], ids=["no-grad", "grad"])
@pytest.mark.parametrize("form", ROWS)
def test_the_capture_sees_what_the_table_says(form: Form, with_grad: bool) -> None:
    model, x = Spelled(form), inputs().requires_grad_(with_grad)
    before = model(x).detach()
    with PatternCapture(model) as capture:
        after = model(x).detach()
    assert torch.equal(before, after)
    sites = list(capture.patterns.values())
    if form.torch_misses:
        assert sites == []
        return
    assert len(sites) == (form.kind == SWITCH)
    for site in sites:
        assert torch.equal(site.bits, x.detach() > form.threshold)


@pytest.mark.parametrize("form", ROWS)
def test_other_folds_are_listed_as_for_a_file(form: Form) -> None:
    model = Spelled(form)
    with torch.no_grad(), PatternCapture(model) as capture:
        model(inputs())
    assert len(capture.patterns.folds) == (form.kind == FOLD)
    for fold in capture.patterns.folds:
        assert fold.name == fold.op
        assert fold.op in ("abs", "sign", "minimum", "maximum", "clamp", "where", "mul")


class Folding(nn.Module):
    """Folds behind two layers, one of them twice, and a switch that is made of a fold."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x).abs_()
        z = self.second(y)
        return z.abs() + z.sign() * 3 + (z + z.abs()) / 2


def test_folds_have_names_numbers_and_layers() -> None:
    model = Folding()
    before = model(inputs())
    with torch.no_grad(), PatternCapture(model) as capture:
        assert torch.equal(model(inputs()), before)
    folds = capture.patterns.folds
    assert [(fold.name, fold.op, fold.layer) for fold in folds] == [
        ("abs", "abs", "first"),
        ("abs#2", "abs", "second"),
        ("sign", "sign", "second"),
    ]
    assert len(capture.patterns) == 1


def test_the_monitor_lists_folds_and_counts_none() -> None:
    model = Folding()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with PatternMonitor(optimizer, model) as monitor:
        for _ in range(3):
            optimizer.zero_grad()
            model(inputs()).sum().backward()
            optimizer.step()
    assert monitor.folds == {"abs": "abs", "abs#2": "abs", "sign": "sign"}
    assert list(monitor.layers.values()) == ["second"]


def in_place_sum(x: Tensor) -> Tensor:
    return x.abs().add_(x).mul_(0.5)


def in_place_mask(x: Tensor) -> Tensor:
    y = x.clone()
    return y.mul_(y > 0)


def in_place_fill(x: Tensor) -> Tensor:
    y = x.clone()
    return y.masked_fill_(y < 0, 0.0)


def clamp_in_place(x: Tensor) -> Tensor:
    return x.clone().clamp_(min=torch.zeros(4))


def weighted_sum(x: Tensor) -> Tensor:
    return x.add(x.abs(), alpha=2)


@pytest.mark.parametrize(
    "form",
    [in_place_sum, in_place_mask, in_place_fill, clamp_in_place, weighted_sum],
    ids=lambda form: form.__name__,
)
def test_in_place_and_weighted_calls_are_seen(form) -> None:
    class Holder(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return form(x)

    model, x = Holder(), inputs()
    before = model(x)
    with torch.no_grad(), PatternCapture(model) as capture:
        assert torch.equal(model(x), before)
    (site,) = capture.patterns.values()
    assert torch.equal(site.bits, inputs() > 0)


def overwritten_base(x: Tensor) -> Tensor:
    y = x.clone()
    size = y.abs()
    y.mul_(-3)
    return y + size


def overwritten_result(x: Tensor) -> Tensor:
    size = x.abs()
    size.add_(1).sub_(x)
    return x * size


def same_number_of_another_tensor(x: Tensor) -> Tensor:
    return x + x.flip(0).abs()


@pytest.mark.parametrize(
    "form",
    [overwritten_base, overwritten_result, same_number_of_another_tensor],
    ids=lambda form: form.__name__,
)
def test_what_was_overwritten_or_is_of_another_tensor_is_no_form(form) -> None:
    class Holder(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return form(x)

    model = Holder()
    with torch.no_grad(), PatternCapture(model) as capture:
        model(inputs())
    assert not list(capture.patterns.values())


def test_nothing_is_held_after_the_pass() -> None:
    form = next(form for form in FORMS if form.name == "x-plus-abs")
    with PatternCapture(Spelled(form)) as capture:
        Spelled(form)(inputs())
    assert not capture._forms._held

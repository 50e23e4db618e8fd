"""The table of switch forms, through a capture of the torch bridge."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from switch_forms import FORMS, SWITCH, VECTORS, Form
from torch import Tensor, nn
from torch.nn import functional

from reluflow_torch import PatternCapture

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

"""What torch really exports: no switch vanishes in an If or a Loop controlled by sizes."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from reluflow.graph import Model, find_sites, load, tap


class Squeezed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 3, 3)
        self.fc = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(torch.relu(x.squeeze(1)))
        return torch.relu(y)


class Cell(nn.Module):
    """A recurrent net written as a scripted loop."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.hidden = nn.Linear(4, 6), nn.Linear(6, 6)
        self.out = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(x.shape[1], 6)
        for t in range(x.shape[0]):
            h = torch.relu(self.inner(x[t]) + self.hidden(h))
        return torch.relu(self.out(h))


def exported(model: nn.Module, x: Tensor, axes: dict[int, str], *, scripted: bool = False) -> Model:
    stream: Any = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.jit.script(model) if scripted else model
        torch.onnx.export(
            model, (x,), stream, dynamo=False, input_names=["x"], dynamic_axes={"x": axes}
        )
    return load(stream.getvalue())


def run(model: Model, names: list[str], x: np.ndarray) -> list[np.ndarray]:
    session = ort.InferenceSession(model.serialize(), providers=["CPUExecutionProvider"])
    return session.run(names, {"x": x})


@pytest.mark.parametrize("axes", [{0: "n"}, {0: "n", 1: "c"}], ids=["fixed-axis", "open-axis"])
def test_a_squeeze_of_an_open_axis(axes: dict[int, str]) -> None:
    x = torch.randn(3, 1, 4)
    model = exported(Squeezed().eval(), x, axes)
    sites = find_sites(model)
    assert len(sites) == 2
    result = tap(model, sites)
    assert len(result.done) == 2
    (first,) = run(result.model, [result.done[0].output], x.numpy())
    np.testing.assert_array_equal(first > 0, x.squeeze(1).numpy() > 0)


def test_a_scripted_loop_over_an_open_axis() -> None:
    cell, x = Cell().eval(), torch.randn(5, 2, 4)
    model = exported(cell, x, {0: "t"}, scripted=True)
    sites = find_sites(model)
    assert len(sites) == 2  # one in the body of the Loop, one behind it
    assert sorted(bool(site.scope) for site in sites) == [False, True]
    last = next(site for site in sites if not site.scope)
    result = tap(model, [last])
    (value,) = run(result.model, [result.done[0].output], x.numpy())
    with torch.no_grad():
        h = torch.zeros(2, 6)
        for step in x:
            h = torch.relu(cell.inner(step) + cell.hidden(h))
        wanted = cell.out(h).numpy()
    np.testing.assert_allclose(value, wanted, atol=1e-5)

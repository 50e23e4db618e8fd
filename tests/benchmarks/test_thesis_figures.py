"""The figures of the thesis: their networks, pictures and tables, without the trainings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from _support.gallery import table
from training.thesis.figures import FIGURES
from training.thesis.nets import NETS, FixUpBlock, cifar, fixup
from training.thesis.pictures import save_errors, save_layers
from training.thesis.runs import Course

from reluflow.temperature import LogNormal, PhaseDiagram, Sensitivity, sweep
from reluflow_torch import PatternCapture

SITES = {"F1 + BN": 5, "VGG-11 without BN": 10, "ToyNet-8": 7, "ToyNet-20": 19}


@pytest.mark.parametrize("name", NETS)
def test_a_network_has_a_site_behind_every_layer_but_the_last(name: str) -> None:
    torch.manual_seed(0)
    model = NETS[name]()
    side = 28 if name.startswith("VGG") else 14
    with PatternCapture(model) as capture:
        answer = model(torch.randn(4, 1, side, side))
    assert answer.shape == (4, 10)
    assert len(capture.take()) == SITES.get(name, 13)
    answer.sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())


def test_shortcuts_make_the_difference() -> None:
    x = torch.randn(2, 1, 14, 14)
    torch.manual_seed(1)
    with_them = cifar()
    torch.manual_seed(1)
    without = cifar(residual=False)
    assert not torch.equal(with_them(x), without(x))
    assert with_them.state_dict().keys() == without.state_dict().keys()


def test_fixup_starts_with_the_shortcuts_alone() -> None:
    torch.manual_seed(0)
    block = next(each for each in fixup().modules() if isinstance(each, FixUpBlock))
    x = torch.randn(2, 8, 14, 14)
    assert torch.equal(block(x), torch.relu(x))


def diagram() -> PhaseDiagram:
    def swept(model: LogNormal) -> Sensitivity:
        return sweep(
            lambda rate: {"a": float(model.distance(rate)), "b": 0.5 * float(model.distance(rate))}
        )

    sweeps = [swept(LogNormal(-2.0, 1.0)), swept(LogNormal(-1.0, 1.0))]
    return PhaseDiagram.from_sweeps([0, 10], sweeps, used_rates=[np.exp(-2.0), np.exp(-1.0)])


def test_temperatures_are_those_at_the_rate_of_the_training() -> None:
    bits = Course(diagram(), np.zeros(2)).temperatures
    assert bits.shape == (2, 2)
    assert bits[:, 0] == pytest.approx(1.0, abs=0.02)
    assert bits[:, 1] == pytest.approx(-np.log2(0.75), abs=0.02)


def test_pictures_are_written(tmp_path: Path) -> None:
    times, rates = np.arange(4.0), np.geomspace(1e-3, 1.0, 6)
    one = (times, np.random.default_rng(0).random((4, 5)))
    for count in (1, 2, 4):
        path = save_layers({f"net {n}": one for n in range(count)}, tmp_path / f"{count}.png")
        assert path.read_bytes().startswith(b"\x89PNG")
    errors = (times, rates, np.random.default_rng(0).random((4, 6)))
    rows = {model: {"a": errors, "b": errors, "c": errors} for model in ("one", "other")}
    assert save_errors(rows, tmp_path / "errors.png").stat().st_size > 1000


def test_numbers_of_a_table_have_three_digits() -> None:
    rows = [{"training": "x", "rate start": 0.012345, "accuracy": 0.7, "steps": 240}]
    assert table(rows).splitlines()[-1] == "| x | 0.0123 | 70.0 % | 240 |"


def test_every_figure_is_there() -> None:
    assert [*FIGURES] == [f"3.{n}" for n in range(8, 23) if n != 12]

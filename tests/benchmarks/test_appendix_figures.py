"""Figure 4.2 and those of the appendix: their networks, data and tables, without the trainings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from training.thesis import appendix, drawn


def test_the_small_network_has_eight_normalised_convolutions() -> None:
    model = drawn.fresh(0)
    kinds = [type(layer) for layer in model]
    assert kinds[:24] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * 8
    assert model(torch.zeros(2, 1, 14, 14)).shape == (2, 10)


def runs() -> list[dict[str, Any]]:
    """Return accuracies of three seeds: training for n wins n points at n."""

    def row(base: float, trained: int = 0) -> dict[str, float]:
        return {
            f"{sampler} {n}": base + (n if n == trained else 0)
            for sampler in (drawn.BINOMIAL, drawn.CHOSEN)
            for n in drawn.SAMPLES
        }

    found = []
    for seed in range(3):
        one: dict[str, Any] = {"float": 90.0 + seed, "float, as long as tuned": 91.0 + seed}
        one |= {name: row(80.0 + seed) for name in ("in place", drawn.LATER)}
        one |= {f"trained {n}": row(80.0 + seed, n) for n in drawn.SAMPLES}
        for sampler in (drawn.BINOMIAL, drawn.CHOSEN):
            one |= {f"tuned {n}, {sampler}": row(80.0 + seed, n) for n in drawn.TUNED}
        found.append(one)
    return found


def test_margins_are_told_for_every_seed_and_drawn(tmp_path: Path) -> None:
    record = {"results": {"summary": drawn.summary(runs())}, "command": "c", "machine": "m"}
    parts = drawn.parts(record, Path("psb_training.json"))
    assert "| tuned, binomial | 1.0 (1.0, 1.0, 1.0) | 2.0 (2.0, 2.0, 2.0) |" in parts["margins"]
    assert "| trained 4 | 81.0 ± 1.0 | 81.0 ± 1.0 | 85.0 ± 1.0 |" in parts["scratch"]
    assert "91.0 ± 1.0 % in floating point, 92.0" in parts["floats"]
    drawn.draw(runs(), tmp_path / "4_2.png")
    assert (tmp_path / "4_2.png").stat().st_size > 10_000


def test_the_checkboard_has_four_classes_of_four_fields() -> None:
    x, y = appendix.checkboard(20_000, torch.Generator().manual_seed(0))
    assert torch.allclose(x.mean(0), torch.zeros(2), atol=0.03)
    assert torch.allclose(x.std(0), torch.ones(2), atol=0.03)
    field = ((x / appendix.SIDE + 1) * 2).long()
    assert torch.equal(y, (field[:, 0] + field[:, 1]) % 4)
    assert np.allclose(torch.bincount(y).numpy() / len(y), 0.25, atol=0.02)


def test_networks_have_the_parameters_of_the_thesis() -> None:
    found = {row["network"]: row for row in appendix.rows({name: [1.0] for name in appendix.NETS})}
    assert found["3 x 50"]["parameters"] == 5454
    assert found["extrinsic"]["parameters"] == 5406 + 12  # with the dense layer for the classes
    assert "| 2 x 2 | 24 | 1.0 | 1.0 | 48.9 |" in appendix.table(list(found.values()))


def test_an_ascent_of_the_entropy_beats_normalisation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appendix, "STEPS", 100)
    found = appendix.figure_a3(tmp_path / "A_3.png")
    assert found["entropy, linear"] > found["batch normalisation"] + 0.3
    assert found["entropy, quadratic"] > found["batch normalisation"]
    flat = appendix.figure_a1(tmp_path / "A_1.png")
    assert flat["dependent, bias 0.6, -0.6"] > flat["dependent, bias 0, 0"]
    assert flat["independent, bias 0, 0"] > 1.99

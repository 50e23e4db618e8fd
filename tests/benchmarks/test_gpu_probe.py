"""How many processes should share a GPU."""

from __future__ import annotations

import pytest
from gpu.probe import Cell, best


def rates(shared: dict[int, float], core: float) -> dict[Cell, float]:
    found: dict[Cell, float] = {}
    for net in ("f1", "resnet8"):
        found |= {(net, "cuda", count): rate for count, rate in shared.items()}
        found[net, "cpu", 16] = 16 * core
    return found


@pytest.mark.parametrize(
    ("shared", "core", "wanted"),
    [
        ({1: 700.0, 8: 5000.0, 16: 9000.0}, 100.0, 16),  # processes add up
        ({1: 700.0, 8: 800.0, 16: 800.0}, 100.0, 1),  # they take turns: 700 + 15 * 100
        ({1: 700.0, 8: 4000.0, 16: 4200.0}, 100.0, 8),
        ({1: 50.0, 8: 60.0, 16: 70.0}, 100.0, 1),  # the GPU is slower than a core
    ],
)
def test_all_cores_together_do_most_steps(
    shared: dict[int, float], core: float, wanted: int
) -> None:
    assert best(rates(shared, core), "cuda") == wanted

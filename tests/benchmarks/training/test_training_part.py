"""A part of the grid of small trainings: ActCoolLR at its defaults spoils none of them."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import torch
from training import grid, verdict

pytest.importorskip("sklearn")

PART = [
    (net, optimizer, epochs)
    for net in ("mlp", "cnn", "cnn_bn")
    for optimizer in grid.OPTIMIZERS
    for epochs in (10, 30)
    if epochs == 10 or net == "mlp"
]
MEMORISED = [("mlp", "sgd"), ("cnn_bn", "adamw")]


def trained(runs: Any) -> list[dict[str, Any]]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [json.loads(json.dumps(grid.perform_run(run))) for run in runs]
    finally:
        torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.parametrize(("net", "optimizer", "epochs"), PART)
def test_small_data_are_learnt_as_well_as_with_cosine(
    net: str, optimizer: str, epochs: int
) -> None:
    runs = grid.runs(("digits512",), (net,), (optimizer,), (epochs,), ("true",))
    (cell,) = verdict.cells(trained(runs))
    assert cell.failed == ()
    assert not cell.is_behind, verdict.report([cell])


@pytest.mark.slow
@pytest.mark.parametrize(("net", "optimizer"), MEMORISED)
def test_random_labels_end_in_no_error(net: str, optimizer: str) -> None:
    runs = grid.runs(
        ("digits512",), (net,), (optimizer,), (30,), ("random",), ("actcool",), seeds=(0,)
    )
    (cell,) = verdict.cells(trained(runs))
    assert cell.failed == ()


@pytest.mark.skipif(
    os.environ.get("RELUFLOW_LONG_TESTS") != "1", reason="RELUFLOW_LONG_TESTS=1 runs it"
)
def test_weights_that_run_away_end_in_no_error() -> None:
    (run,) = grid.runs(
        ("digits512",), ("f1",), ("sgd",), (300,), ("true",), ("actcool",), seeds=(0,)
    )
    (record,) = trained([run])
    (cell,) = verdict.cells([record])
    assert cell.failed == ()
    assert record["test_accuracy"] > 92.0

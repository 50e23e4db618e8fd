"""Measuring changes nothing: with a constant rate, training equals plain training."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import Optimizer
from torch_nets import Constant, SmallCNN, everything, images, mlp, same, train, vectors

from reluflow_torch import ActCoolLR

RATE = 0.05
OPTIMIZERS: dict[str, Callable[[Any], Optimizer]] = {
    "SGD": lambda p: torch.optim.SGD(p, RATE),
    "nesterov": lambda p: torch.optim.SGD(p, RATE, momentum=0.9, nesterov=True),
    "AdamW": lambda p: torch.optim.AdamW(p, RATE),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("network", ["mlp", "cnn"])
@pytest.mark.parametrize("options", [{}, {"accumulate": 2}, {"clip": 0.1}], ids=str)
def test_training_with_a_constant_rate_is_plain_training(
    optimizer: str, network: str, options: dict[str, Any]
) -> None:
    ends = []
    for is_watched in (False, True):
        model = mlp() if network == "mlp" else SmallCNN()
        batches = vectors(24) if network == "mlp" else images(24)
        chosen = OPTIMIZERS[optimizer](model.parameters())
        scheduler = ActCoolLR(chosen, model, 24, controller=Constant(RATE)) if is_watched else None
        torch.manual_seed(9)
        train(model, chosen, batches, scheduler, **options)
        ends.append(everything(model, chosen))
    assert scheduler is not None
    assert scheduler.controller.n_fits > 1
    assert scheduler.n_probes >= 4
    assert same(*ends)


SCRIPT = """
import json, sys, torch
from reluflow.temperature import ActCoolOptions
torch.set_num_threads(int(sys.argv[1]))
from reluflow_torch import ActCoolLR
from torch_nets import MILD, SmallCNN, images, mlp, train, vectors
found = []
for model, batches in ((mlp(), vectors(40)), (SmallCNN(), images(40))):
    torch.manual_seed(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    scheduler = ActCoolLR(optimizer, model, 40, schedule=MILD, options=ActCoolOptions())
    rates = train(model, optimizer, batches, scheduler)
    found.append([rates, scheduler.controller.state_dict()])
print(json.dumps(found))
"""


def decisions(threads: int) -> list[Any]:
    """Train in a process of its own: torch fixes the number of threads early."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(threads)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def test_one_thread_or_two_the_decisions_are_the_same() -> None:
    assert decisions(1) == decisions(2)

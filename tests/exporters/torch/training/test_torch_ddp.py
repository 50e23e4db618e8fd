"""Two processes with gloo agree on every rate, and on every weight."""

import pytest

pytest.importorskip("torch")

from ranks import run_on_two_ranks

SCRIPT = """
import json, os, torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from reluflow_torch import ActCoolLR
from torch_nets import MILD, mlp, train, vectors
rank = int(os.environ["RANK"])
torch.set_num_threads(1)
distributed.init_process_group("gloo")

def run(inner, watch=None):
    model = mlp(seed=rank)
    if watch:  # without normalisation, which takes away that a batch is too large
        model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 5))
    wrapped = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    seen = model if inner else wrapped
    scheduler = ActCoolLR(optimizer, seen, 20, schedule=MILD, watch_updates=watch)
    torch.manual_seed(10 + rank)
    batches = vectors(20, seed=rank)
    if watch and rank == 0:
        batches[18] = (100 * batches[18][0], batches[18][1])
    rates = train(wrapped, optimizer, batches, scheduler)
    return {
        "rates": rates,
        "fits": scheduler.controller.n_fits,
        "outliers": scheduler.controller.n_outliers,
        "samples": scheduler.controller.samples,
        "own": scheduler.distances.mean_distance,
        "weights": [p.double().sum().item() for p in model.parameters()],
    }

print(json.dumps({"wrapper": run(False), "inner": run(True), "watched": run(False, watch=True)}))
distributed.destroy_process_group()
"""


def test_ranks_agree_given_the_wrapper_or_the_module_inside() -> None:
    ranks = run_on_two_ranks(SCRIPT)
    for way in ("wrapper", "inner", "watched"):
        first, second = (found[way] for found in ranks)
        assert first["rates"] == second["rates"]
        assert len({rate for (rate,) in first["rates"]}) > 15
        assert first["weights"] == second["weights"]
        assert first["fits"] == second["fits"] >= 1
        assert first["samples"] == second["samples"] == 2 * 64 * (1 if way == "watched" else 2)
        assert first["outliers"] == second["outliers"] == (2 if way == "watched" else 0)
        assert first["own"] != second["own"], "each rank has data of its own"

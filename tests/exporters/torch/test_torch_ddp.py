"""Two processes with gloo agree on every rate, and on every weight."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPT = """
import json, sys, torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from reluflow_torch import ActCoolLR
from torch_nets import MILD, mlp, train, vectors
rank, port, inner = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "inner"
torch.set_num_threads(1)
distributed.init_process_group(
    "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2
)
model = mlp(seed=rank)
wrapped = DistributedDataParallel(model)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
scheduler = ActCoolLR(optimizer, model if inner else wrapped, 20, schedule=MILD)
torch.manual_seed(10 + rank)
rates = train(wrapped, optimizer, vectors(20, seed=rank), scheduler)
print(json.dumps({
    "rates": rates,
    "fits": scheduler.controller.n_fits,
    "samples": scheduler.controller.samples,
    "own": scheduler.distances.mean,
    "weights": [p.double().sum().item() for p in model.parameters()],
}))
distributed.destroy_process_group()
"""


def train_together(way: str) -> list[dict[str, Any]]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    support = Path(__file__).parents[2] / "support"
    path = os.pathsep.join([str(support), *sys.path])
    ranks = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", SCRIPT, str(rank), str(port), way],
            env={**os.environ, "PYTHONPATH": path, "GLOO_SOCKET_IFNAME": "lo"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=120) for process in ranks]
    finally:
        for process in ranks:
            process.kill()
    for process, (_, errors) in zip(ranks, outputs, strict=True):
        assert process.returncode == 0, errors
    return [json.loads(text.strip().splitlines()[-1]) for text, _ in outputs]


def test_ranks_agree_given_the_wrapper_or_the_module_inside() -> None:
    for way in ("wrapper", "inner"):
        first, second = train_together(way)
        assert first["rates"] == second["rates"]
        assert len({rate for (rate,) in first["rates"]}) > 15
        assert first["weights"] == second["weights"]
        assert first["fits"] == second["fits"] >= 1
        assert first["samples"] == second["samples"] == 2 * 2 * 64
        assert first["own"] != second["own"], "each rank has data of its own"

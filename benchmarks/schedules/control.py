"""How near the temperature came to the wanted one: in simulated networks and in the trainings.

Writes control.json beside itself. Example: `control.py`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from reluflow.temperature import (
    ActCool,
    ActCoolOptions,
    LogNormal,
    PowerSchedule,
    start_for_widths,
)

HERE = Path(__file__).parent
STEPS = 800
START_BITS = 4.0
BATCH = 128
WIDTHS = {"f1": [512] * 5, "f1_bn": [512] * 5, "resnet8": [16, 16, 16, 32, 32, 64, 64]}


def place(mu: float, swing: float, sigma: float, fall: float) -> Callable[[float], LogNormal]:
    """Returns a transition that drifts over a training."""
    return lambda p: LogNormal(mu + swing * math.sin(6 * p), sigma * (1 - fall * p))


def simulated(model: Callable[[float], LogNormal], samples: int, seed: int) -> dict[str, float]:
    """Returns the errors in bits of one simulated training and what its fits measured."""
    random = np.random.default_rng(seed)
    controller = ActCool(PowerSchedule(START_BITS, 1.0), ActCoolOptions(samples=samples))
    errors = []
    for step in range(STEPS):
        progress = step / STEPS
        network = model(progress)

        def measure(rate: float, network: LogNormal = network) -> float:
            return random.binomial(samples, float(network.distance(rate))) / samples

        rate = controller.next_rate(progress, measure)
        errors.append(float(network.temperature(rate)) - controller.wanted_temperature(progress))
        if controller.wants_distance:
            controller.observe(measure(rate))
    return {
        "rms": float(np.sqrt(np.mean(np.square(errors)))),
        "mean": mean(errors),
        "measurements": controller.n_measurements,
    }


def simulations() -> Iterator[dict[str, float]]:
    """Gives one simulated training a setting: places, drifts, widths and batches crossed."""
    seed = 0
    for mu in (-9.0, -3.0, 3.0):
        for swing in (-2.0, 0.0, 2.0):
            for sigma in (0.3, 1.0, 2.5):
                for samples in (1_000, 10_000, 100_000):
                    seed += 1
                    setting = {"mu": mu, "swing": swing, "sigma": sigma, "samples": samples}
                    yield setting | simulated(place(mu, swing, sigma, 0.3), samples, seed)


def trained(record: dict[str, Any]) -> dict[str, Any]:
    """Returns the error in bits over the traced steps of a training, each measured anew.

    One traced step has the noise of one batch. A step that changes every pattern counts as
    log2 of the number of samples.
    """
    run, trace = record["run"], record["trace"]
    widths = WIDTHS[run["network"]]
    wanted_at = PowerSchedule(start_for_widths(widths))
    samples = BATCH * len(widths)
    total = trace[-1]["step"] + trace[-1]["step"] - trace[-2]["step"]
    errors = []
    for row in trace:
        unchanged = max(1.0 - mean(row["distances"]), 1.0 / samples)
        wanted = min(wanted_at(row["step"] / total), math.log2(samples / 3))
        errors.append(-math.log2(unchanged) - wanted)
    return {
        "network": run["network"],
        "epochs": run["epochs"],
        "steps": len(errors),
        "rms": float(np.sqrt(np.mean(np.square(errors)))),
        "mean": mean(errors),
    }


def main() -> None:
    """Writes the record and prints it in short."""
    rows = list(simulations())
    results = json.loads((HERE / "results.json").read_text("utf-8"))
    found = {
        "simulated": {
            "runs": len(rows),
            "rms": mean(row["rms"] for row in rows),
            "worst_rms": max(row["rms"] for row in rows),
            "worst_mean": max(abs(row["mean"]) for row in rows),
            "least_measurements": min(row["measurements"] for row in rows),
            "most_measurements": max(row["measurements"] for row in rows),
        },
        "trained": [
            trained(record)
            for record in results
            if record["run"]["schedule"] == "actcool" and record.get("trace")
        ],
        "simulations": rows,
    }
    (HERE / "control.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(json.dumps({key: found[key] for key in ("simulated", "trained")}, indent=1))


if __name__ == "__main__":
    main()

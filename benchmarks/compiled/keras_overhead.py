r"""Time of `fit` in Keras with ActCool over that without, in one run, on every backend.

Two equal networks F1 (thesis 3.1.3) take turns, a block of eight steps each, on the same batches:
each has a `fit` of its own in a thread of its own, of which one runs at a time. "Without a probe"
is the middle of the ratios of blocks that hold no probe; "steady state" is the ratio of all time
after the first fifth of the blocks. Both are told for the clock and for the CPU time of all
threads.

    PYTHONPATH=benchmarks python benchmarks/compiled/keras_overhead.py \
        --json benchmarks/records/keras_overhead.json

takes about three minutes on two cores. Each backend runs in a process of its own; one that is not
installed is named and left out.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
from _support import arguments, keep
from actcool_overhead import BATCH, BLOCK, learnable_data
from compiled._apart import run_apart
from compiled._cost import Cost, cost_of, told

BACKENDS = ("torch", "jax", "tensorflow")
STEPS = 1000
LEARNING_RATE = 0.01
DEPTH, WIDTH, INPUTS, CLASSES = 5, 512, 784, 10


class Turns:
    """Lets one of several threads run at a time, a block of steps each."""

    def __init__(self, sides: int) -> None:
        self._condition = threading.Condition()
        self._order = list(range(sides))
        self._now = -1

    def begin(self) -> None:
        """Give the first turn, once all sides wait."""
        with self._condition:
            self._now = 0
            self._condition.notify_all()

    def wait(self, side: int) -> None:
        """Wait for the turn of a side."""
        with self._condition:
            self._condition.wait_for(lambda: self._now >= 0 and self._order[self._now] == side)

    def give(self) -> None:
        """End a turn; each side begins as often as the others."""
        with self._condition:
            self._now += 1
            if self._now == len(self._order):
                self._now, self._order = 0, self._order[1:] + self._order[:1]
            self._condition.notify_all()


def batches(steps: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the images and labels of each step."""
    images, labels = (part.numpy() for part in learnable_data(4096, (1, 28, 28)))
    images = images.reshape(len(images), -1)
    draw = np.random.default_rng(2)
    for _ in range(steps):
        index = draw.integers(0, len(images), BATCH)
        yield images[index], labels[index]


def measure(backend: str, rounds: int) -> Cost:
    """Train both sides in turns, in this process."""
    import keras

    from reluflow_keras import ActCool

    if backend == "torch":
        import torch

        torch.set_num_threads(1)
    steps = rounds * BLOCK
    turns = Turns(2)

    class Blocks(keras.callbacks.Callback):
        """Waits at the start of a block, and notes its time at the end."""

        def __init__(self, side: int, cooling: Any) -> None:
            super().__init__()
            self.side, self.cooling = side, cooling
            self.times: list[float] = []
            self.cpu: list[float] = []
            self.probes: list[int] = []
            self.loss = 0.0
            self.waits = threading.Event()

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if batch % BLOCK == 0:
                self.waits.set()
                turns.wait(self.side)
                self.start = time.perf_counter(), time.process_time()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if (batch + 1) % BLOCK:
                return
            self.loss = float(logs["loss"])  # waits for the device
            clock, cpu = self.start
            self.times.append(time.perf_counter() - clock)
            self.cpu.append(time.process_time() - cpu)
            controller = None if self.cooling is None else self.cooling.controller
            self.probes.append(0 if controller is None else controller.n_probes)
            turns.give()

    models = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Dense(WIDTH, "relu") for _ in range(DEPTH)]
        model = keras.Sequential([keras.Input((INPUTS,)), *layers, keras.layers.Dense(CLASSES)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(LEARNING_RATE), loss)
        models.append(model)
    cooling = ActCool(steps)
    plain, steered = Blocks(0, None), Blocks(1, cooling)

    threads = []
    for blocks, model in zip((plain, steered), models, strict=True):
        callbacks = [blocks] if blocks.cooling is None else [blocks.cooling, blocks]
        settings = {"steps_per_epoch": steps, "verbose": 0, "callbacks": callbacks}
        threads.append(threading.Thread(target=model.fit, args=(batches(steps),), kwargs=settings))
        threads[-1].start()
        blocks.waits.wait()
    turns.begin()
    for thread in threads:
        thread.join()
    return cost_of(steered, plain, (steered.loss, plain.loss))


def options_of(parser: argparse.ArgumentParser) -> None:
    """Add the options that this benchmark alone has."""
    parser.add_argument("--only", nargs="+", choices=BACKENDS, default=BACKENDS)
    parser.add_argument("--apart", nargs=2, help=argparse.SUPPRESS)


def main() -> None:
    options = arguments(__doc__ or "", rounds=STEPS // BLOCK, more=options_of)
    if options.apart:
        backend, rounds = options.apart
        cost = measure(backend, int(rounds))
        print(json.dumps({"backend": backend, **asdict(cost)}))
        return
    results = []
    for backend in options.only:
        args = [backend, str(options.rounds)]
        found = run_apart(__file__, ["keras", backend], backend, args)
        if found is None:
            continue
        results.append(found)
        print(told(f"{found['backend']:10s}", found), flush=True)
        keep(options.json, results)


if __name__ == "__main__":
    main()

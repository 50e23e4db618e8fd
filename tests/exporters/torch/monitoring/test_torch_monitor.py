"""PatternMonitor: changes nothing, records what happened, and can be resumed."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fashion_nets import convnet, f1, fashion, resnet
from torch import Tensor, distributed, nn
from torch.optim import SGD, AdamW, Optimizer

from reluflow.errors import DataError, OptionError
from reluflow.patterns import PatternRecorder, read
from reluflow_torch import ActCoolLR, PatternCapture, PatternMonitor, distances
from reluflow_torch.sites.hashing import fingerprints

Hook = Callable[[Optimizer, nn.Module], Any]
RATES = [1e-4, 1e-2, 1.0, 100.0]


class Noisy(nn.Module):
    """A network with dropout, batch statistics and a random number of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.body = f1(2, 32, norm=True)
        self.drop = nn.Dropout(0.3)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.drop(x) + 0.01 * torch.randn(()))


def train(
    make: Callable[[], nn.Module],
    optimizer_of: Callable[[nn.Module], Optimizer],
    attach: Hook | None = None,
    steps: int = 9,
    after_step: Callable[[int], None] = lambda step: None,
) -> tuple[nn.Module, Optimizer]:
    torch.manual_seed(0)
    images, labels = fashion(400)
    model = make()
    optimizer = optimizer_of(model)
    if attach is not None:
        attach(optimizer, model)
    for step in range(steps):
        chosen = torch.randint(0, len(images), (32,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[chosen]), labels[chosen]).backward()
        optimizer.step()
        after_step(step)
    return model, optimizer


def momentum(model: nn.Module) -> Optimizer:
    groups = [{"params": p, "lr": 0.01 * (1 + i % 2)} for i, p in enumerate(model.parameters())]
    return SGD(groups, momentum=0.9, nesterov=True, weight_decay=1e-3)


def adamw(model: nn.Module) -> Optimizer:
    return AdamW(model.parameters(), lr=1e-3, amsgrad=True)


def everything(state: Any) -> list[Any]:
    """Return all leaves of a state, tensors as bytes."""
    if isinstance(state, Tensor):
        return [state.detach().numpy().tobytes()]
    if isinstance(state, dict):
        return [leaf for key in state for leaf in (key, *everything(state[key]))]
    if isinstance(state, list | tuple):
        return [leaf for item in state for leaf in everything(item)]
    return [state]


@pytest.mark.parametrize("make", [Noisy, resnet, lambda: convnet(norm=True)])
@pytest.mark.parametrize("optimizer_of", [momentum, adamw])
def test_training_stays_the_same_bit_for_bit(
    make: Callable[[], nn.Module], optimizer_of: Callable[[nn.Module], Optimizer]
) -> None:
    monitors: list[PatternMonitor] = []

    def attach(optimizer: Optimizer, model: nn.Module) -> None:
        monitors.append(
            PatternMonitor(optimizer, model, every=1, measures_every=2, sweep_every=3, rates=RATES)
        )

    plain = train(make, optimizer_of)
    dice = torch.get_rng_state()
    watched = train(make, optimizer_of, attach)
    assert torch.equal(dice, torch.get_rng_state())
    assert everything(plain[0].state_dict()) == everything(watched[0].state_dict())
    assert everything(plain[1].state_dict()) == everything(watched[1].state_dict())
    assert monitors[0].step == 9
    assert len(monitors[0].sweeps) == 3
    assert all(module.training for module in watched[0].modules())


def test_a_scheduler_beside_the_monitor_makes_the_same_decisions() -> None:
    def rates(with_monitor: bool) -> list[float]:
        found: list[float] = []
        held: list[Any] = []

        def attach(optimizer: Optimizer, model: nn.Module) -> None:
            if with_monitor:
                held.append(PatternMonitor(optimizer, model, every=2, sweep_every=4, rates=RATES))
            held.append(ActCoolLR(optimizer, model, total_steps=12))

        def after(step: int) -> None:
            held[-1].step()
            found.append(held[-1].controller.rate)

        train(Noisy, momentum, attach, 12, after)
        return found

    assert rates(True) == rates(False)


def test_recorded_distances_are_those_of_the_steps_taken(tmp_path: Path) -> None:
    """Repeated by hand: the same batch before and after each step."""
    expected: dict[tuple[int, str], float] = {}
    torch.manual_seed(1)
    images, labels = fashion(200)
    model = f1(2, 24)
    optimizer = SGD(model.parameters(), lr=0.2)
    with PatternMonitor(optimizer, model, every=2, recorder=tmp_path) as monitor:
        for step in range(5):
            batch = images[40 * step : 40 * step + 40]
            with PatternCapture(model) as before, torch.no_grad():
                model(batch)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(batch), labels[40 * step : 40 * step + 40])
            loss.backward()
            optimizer.step()
            with PatternCapture(model) as after, torch.no_grad():
                model(batch)
            if step % 2 == 0:
                found = distances(before.patterns, after.patterns)
                expected |= {(step, site.name): site.distance for site in found.sites}
                expected[step, "mean"] = found.mean_distance
    rows = {(row["step"], row["site"]): row for row in read(tmp_path).to_pylist()}
    assert {key: row["distance"] for key, row in rows.items()} == expected
    assert max(expected.values()) > 0
    mean = rows[2, "mean"]
    assert mean["learning_rate"] == 0.2
    assert mean["temperature_bits"] == pytest.approx(-np.log2(1 - mean["distance"]))
    assert monitor.forward_passes == 3


def test_measures_are_those_of_the_given_data(tmp_path: Path) -> None:
    images, _ = fashion(300)
    held: list[PatternMonitor] = []

    def attach(optimizer: Optimizer, model: nn.Module) -> None:
        data = [images[:150], (images[150:],)]
        held.append(
            PatternMonitor(
                optimizer, model, every=0, measures_every=4, data=data, recorder=tmp_path
            )
        )

    make = lambda: f1(2, 8)  # noqa: E731
    train(make, momentum, attach, 5)
    held[0].close()
    rows = [row for row in read(tmp_path).to_pylist() if row["site"] != "mean"]
    assert [(row["step"], row["site"]) for row in rows] == [(0, "2"), (0, "4"), (4, "2"), (4, "4")]
    assert [row["jaccard_initial"] for row in rows[:2]] == [1.0, 1.0]
    assert rows[0]["net_change"] is None
    assert rows[2]["jaccard_initial"] == rows[2]["jaccard_previous"] < 1.0
    assert rows[2]["born"] - rows[2]["died"] == pytest.approx(rows[2]["net_change"])

    start = train(make, momentum, None, 0)[0].eval()
    with PatternCapture(start) as capture, torch.no_grad():
        start(images)
    keys = fingerprints(capture.patterns["2"].bits).numpy()
    assert rows[0]["patterns"] == len(np.unique(keys, axis=0))
    assert rows[0]["samples"] == 300
    bits = capture.patterns["2"].bits.double()
    assert rows[0]["mean_active_fraction"] == pytest.approx(float(bits.mean()))
    assert rows[0]["dead_fraction"] == float((bits.sum(0) == 0).double().mean())


def test_without_data_the_first_batch_is_measured_again_and_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = f1(1, 8)
    optimizer = SGD(model.parameters(), lr=0.0)
    buffer = torch.empty(16, 1, 14, 14)
    with PatternMonitor(optimizer, model, every=0, measures_every=1, recorder=tmp_path):
        for _ in range(3):
            buffer.normal_()
            model(buffer).sum().backward()
            optimizer.step()
    rows = [row for row in read(tmp_path).to_pylist() if row["site"] != "mean"]
    assert [row["jaccard_initial"] for row in rows] == [1.0, 1.0, 1.0]


def test_sweeps_become_a_phase_diagram() -> None:
    held: list[PatternMonitor] = []

    def attach(optimizer: Optimizer, model: nn.Module) -> None:
        held.append(PatternMonitor(optimizer, model, every=0, sweep_every=4, rates=RATES))
        with pytest.raises(DataError, match="no sweep in 0 steps; set sweep_every"):
            held[0].phase_diagram()

    train(lambda: f1(2, 32), momentum, attach, 9)
    diagram = held[0].phase_diagram()
    assert diagram.steps.tolist() == [0, 4, 8]
    assert diagram.sites == ("2", "4")
    assert diagram.used_rates.tolist() == [0.02] * 3
    assert (diagram.distances[:, 0] < 0.2).all()
    assert (diagram.distances[:, -1] > 0.9).all()


def test_a_resumed_monitor_records_the_same(tmp_path: Path) -> None:
    def attach_to(folder: str, state: dict[str, Any] | None) -> tuple[Hook, list[PatternMonitor]]:
        held: list[PatternMonitor] = []

        def attach(optimizer: Optimizer, model: nn.Module) -> None:
            monitor = PatternMonitor(
                optimizer,
                model,
                every=1,
                measures_every=3,
                sweep_every=3,
                rates=RATES,
                recorder=PatternRecorder(tmp_path / folder),
            )
            if state is not None:
                monitor.load_state_dict(state)
            held.append(monitor)

        return attach, held

    kept = io.BytesIO()
    attach, whole = attach_to("whole", None)

    def save_at_five(step: int) -> None:
        if step == 4:
            torch.save(whole[0].state_dict(), kept)

    train(resnet, momentum, attach, 8, save_at_five)
    whole[0].close()
    kept.seek(0)
    state = torch.load(kept, weights_only=True)
    # The weights of a resumed run: those of the full run, trained up to this point again.
    attach, part = attach_to("part", None)
    train(resnet, momentum, attach, 5)
    part[0].close()
    attach, rest = attach_to("part", state)
    torch.manual_seed(0)

    def resume(optimizer: Optimizer, model: nn.Module) -> None:
        attach(optimizer, model)

    images, labels = fashion(400)
    model = resnet()
    optimizer = momentum(model)
    for step in range(8):
        if step == 5:
            resume(optimizer, model)
        chosen = torch.randint(0, len(images), (32,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[chosen]), labels[chosen]).backward()
        optimizer.step()
    rest[0].close()
    assert rest[0].watch == whole[0].watch
    assert read(tmp_path / "part").to_pylist() == read(tmp_path / "whole").to_pylist()


def test_tensorboard_gets_the_scalars(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    held: list[PatternMonitor] = []

    def attach(optimizer: Optimizer, model: nn.Module) -> None:
        held.append(PatternMonitor(optimizer, model, every=2, tensorboard=tmp_path))

    train(lambda: f1(1, 8), momentum, attach, 5)
    held[0].close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert {"distance/2", "distance/mean", "learning_rate/mean"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("distance/2")] == [0, 2, 4]
    assert held[0].distances is not None
    last = events.Scalars("distance/mean")[-1].value
    assert last == pytest.approx(held[0].distances.mean_distance)


def test_wandb_gets_the_values_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = wandb.init(mode="offline", dir=str(tmp_path), project="test")

    def attach(optimizer: Optimizer, model: nn.Module) -> None:
        model.monitor = PatternMonitor(optimizer, model, every=2, wandb=True)  # type: ignore[assignment]

    train(lambda: f1(1, 8), momentum, attach, 3)
    summary = dict(run.summary)
    run.finish()
    assert summary["reluflow/step"] == 2
    assert 0 <= summary["reluflow/distance/2"] <= 1
    assert summary["reluflow/learning_rate/mean"] == 0.02


@pytest.mark.parametrize(
    ("library", "argument", "message"),
    [
        ("torch.utils.tensorboard", "tensorboard", "TensorBoard is not installed; run pip"),
        ("wandb", "wandb", "Weights & Biases is not installed; run pip install wandb"),
    ],
)
def test_a_missing_library_is_named(
    library: str, argument: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    model = f1(1, 4)
    value: Any = "folder" if argument == "tensorboard" else True
    with pytest.raises(OptionError, match=message):
        PatternMonitor(momentum(model), model, **{argument: value})


def test_wandb_without_a_run_is_refused() -> None:
    pytest.importorskip("wandb")
    model = f1(1, 4)
    with pytest.raises(OptionError, match=r"no run is active; call wandb\.init\(\) first"):
        PatternMonitor(momentum(model), model, wandb=True)


def test_what_makes_no_sense_is_refused() -> None:
    model = f1(1, 4)
    optimizer = momentum(model)
    for periods in ((0, 0, 0), (-1, 2, 2)):
        with pytest.raises(OptionError, match="give numbers of steps, at least one of them above"):
            PatternMonitor(
                optimizer,
                model,
                every=periods[0],
                measures_every=periods[1],
                sweep_every=periods[2],
            )
    monitor = PatternMonitor(optimizer, model)
    with pytest.raises(DataError, match="state_dict has version None; this reluflow reads"):
        monitor.load_state_dict({})
    with pytest.raises(DataError, match="has seen no forward pass of its model in train"):
        optimizer.step()
    monitor.close()
    optimizer.step()
    assert monitor.step == 0


def test_synchronised_batch_normalisation_is_refused_before_it_can_hang() -> None:
    model = nn.SyncBatchNorm.convert_sync_batchnorm(f1(1, 4, norm=True))
    optimizer = momentum(model)
    PatternMonitor(optimizer, model).close()
    store = distributed.HashStore()  # type: ignore[attr-defined]
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        with pytest.raises(OptionError, match="has the SyncBatchNorm '2', whose passes wait for"):
            PatternMonitor(optimizer, model)
    finally:
        distributed.destroy_process_group()


def test_a_closure_is_run_once_a_step() -> None:
    torch.manual_seed(0)
    images, labels = fashion(64)
    model = f1(1, 8)
    optimizer = SGD(model.parameters(), lr=0.1)
    calls = []

    def closure() -> Tensor:
        calls.append(1)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        return loss

    with PatternMonitor(optimizer, model, every=2, sweep_every=3, rates=RATES) as monitor:
        losses = [optimizer.step(closure) for _ in range(4)]
    assert len(calls) == 4
    assert losses[-1] < losses[0]
    assert len(monitor.sweeps) == 2
    assert monitor.distances is not None and monitor.distances.mean_distance > 0


def test_the_state_of_a_fresh_monitor_is_small_and_plain() -> None:
    model = f1(1, 4)
    state = PatternMonitor(momentum(model), model).state_dict()
    assert json.loads(json.dumps(state)) == state


def test_a_compiled_model_is_watched_too() -> None:
    torch.manual_seed(0)
    images, _ = fashion(64)
    model = f1(2, 16)
    compiled = torch.compile(model, backend="eager")
    optimizer = SGD(model.parameters(), lr=0.5)
    with PatternMonitor(optimizer, compiled, every=1, sweep_every=2, rates=RATES) as monitor:  # type: ignore[arg-type]
        for _ in range(2):
            optimizer.zero_grad()
            compiled(images).square().mean().backward()
            optimizer.step()
    assert monitor.distances is not None
    assert [site.name for site in monitor.distances.sites] == ["2", "4"]
    assert monitor.distances.mean_distance > 0


def test_frameworks_and_logs_are_loaded_only_when_asked_for() -> None:
    heavy = "{'lightning', 'transformers', 'wandb', 'tensorboard', 'matplotlib'}"
    code = f"import sys, reluflow_torch; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def normed(kind: str) -> nn.Module:
    """Return a network whose running statistics differ from those of its batches."""
    torch.manual_seed(0)
    body = [nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5)]
    if kind == "instance":
        body[1] = nn.InstanceNorm2d(6, track_running_stats=True)
    model = nn.Sequential(*body, nn.Flatten(), nn.Linear(6 * 12 * 12, 4))
    if kind == "frozen":
        model[1].eval()
    return model


@pytest.mark.parametrize("kind", ["batch", "instance", "frozen"])
@pytest.mark.parametrize("statistics", [None, "batch", "running"])
def test_measures_take_the_statistics_asked_for_and_all_samples(
    kind: str, statistics: str | None, tmp_path: Path
) -> None:
    """Normalised by hand: by the batch as in training unless told otherwise; no dropout."""
    images, labels = fashion(60)
    model = normed(kind)
    optimizer = SGD(model.parameters(), lr=0.01)
    given: dict[str, Any] = {} if statistics is None else {"statistics": statistics}
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        x = model.get_submodule("0")(images)
        by_batch = statistics != "running" and kind != "frozen"
        axes = (2, 3) if kind == "instance" else (0, 2, 3)
        if by_batch:
            mean = x.mean(axes, keepdim=True)
            std = x.var(axes, unbiased=False, keepdim=True).add(1e-5).sqrt()
            x = (x - mean) / std
        patterns = (x > 0).permute(0, 2, 3, 1).reshape(-1, 6)
    monitor = PatternMonitor(
        optimizer,
        model,
        every=0,
        measures_every=1,
        data=images,
        recorder=tmp_path,
        max_samples=16,
        **given,
    )
    with monitor:
        nn.functional.cross_entropy(model(images), labels % 4).backward()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        monitor._look()
        after = model.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert model.get_submodule("3").training
        assert model.get_submodule("1").training == (kind != "frozen")
        if kind != "frozen":
            assert not torch.equal(kept["1.running_mean"], after["1.running_mean"])
        if not by_batch:  # the training pass above has moved the running statistics
            with torch.no_grad():
                norm = model.get_submodule("1").eval()
                patterns = (norm(model.get_submodule("0")(images)) > 0).permute(0, 2, 3, 1)
                patterns = patterns.reshape(-1, 6)
        optimizer.step()
    row = next(row for row in read(tmp_path).to_pylist() if row["site"] == "2")
    assert row["samples"] == 60 * 12 * 12
    assert row["patterns"] == len(np.unique(patterns.numpy(), axis=0))
    assert row["mean_active_fraction"] == pytest.approx(float(patterns.double().mean()), abs=1e-9)
    assert row["batch_statistics"] == int(statistics != "running")


def test_other_statistics_are_refused() -> None:
    model = f1(1, 4)
    with pytest.raises(OptionError, match="statistics is 'eval'; give 'batch' for batch normal"):
        PatternMonitor(momentum(model), model, statistics="eval")

"""The Lightning bridge, with the real trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightning")

import torch
from fashion_nets import f1, fashion
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from reluflow.errors import DataError, OptionError
from reluflow.monitoring import KeptTables, SampleFlips, read_recording
from reluflow.patterns import read
from reluflow_torch import ActCoolLR, ClockWarning
from reluflow_torch.lightning import PatternMonitorCallback, actcool_optimizers

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*`isinstance.treespec, LeafSpec."),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*logging interval"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
]
RATES = [1e-4, 1e-2, 1.0, 100.0]


class Plain(LightningModule):
    """Calls itself in `training_step`, as most examples do; momentum and a fixed rate."""

    def __init__(self) -> None:
        super().__init__()
        self.net = f1(2, 24, norm=True)
        self.rates: list[float] = []

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def training_step(self, batch: Any, index: int) -> Tensor:
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def on_train_batch_end(self, *args: Any) -> None:
        self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)


class Inner(Plain):
    """Calls a part of itself."""

    def training_step(self, batch: Any, index: int) -> Tensor:
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])


class Cooled(Plain):
    """Steered by ActCoolLR."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)
        return actcool_optimizers(self, optimizer)


def made(kind: type[LightningModule], seed: int = 3) -> Any:
    seed_everything(seed, verbose=False)
    return kind()


def fit(
    module: LightningModule, folder: Path, *callbacks: Any, resume: str | None = None, **more: Any
) -> Trainer:
    seed_everything(3, verbose=False)
    images, labels = fashion(192)
    batches = DataLoader(TensorDataset(images, labels), batch_size=32)
    settings: dict[str, Any] = {"max_epochs": 2, "enable_checkpointing": False, **more}
    trainer = Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
        **settings,
    )
    trainer.fit(module, batches, ckpt_path=resume, weights_only=False if resume else None)
    return trainer


def test_the_callback_records_and_changes_nothing(tmp_path: Path) -> None:
    a, b = made(Plain), made(Plain)
    fit(a, tmp_path)
    callback = PatternMonitorCallback(
        every=2, measures_every=4, sweep_every=4, rates=RATES, recorder=tmp_path / "record"
    )
    fit(b, tmp_path, callback)
    for name, value in a.state_dict().items():
        assert torch.equal(value, b.state_dict()[name]), name
    assert callback.monitor is not None
    assert callback.monitor.step == 12
    table = read(tmp_path / "record")
    assert sorted(set(table["step"].to_pylist())) == [0, 2, 4, 6, 8, 10]
    assert set(table["site"].to_pylist()) == {"mean", "net.3", "net.6"}
    assert len(callback.monitor.phase_diagram().steps) == 3


class Failing(Plain):
    """Fails in the middle of the second epoch."""

    def training_step(self, batch: Any, index: int) -> Tensor:
        if self.global_step == 8:
            raise ArithmeticError("no more")
        return super().training_step(batch, index)


def test_the_final_state_is_kept_unless_the_training_failed(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"every": 0, "keep_every": 5, "flips_every": 6}
    fit(made(Plain), tmp_path, PatternMonitorCallback(recorder=tmp_path / "whole", **settings))
    rows = read_recording(tmp_path / "whole").to_pylist()
    found = {row["step"]: row["jaccard_final"] for row in rows if row["site"] == "net.3"}
    assert sorted(found) == [0, 5, 6, 10, 12]
    assert found[12] == 1.0 > found[10] > found[0]
    assert SampleFlips.read(tmp_path / "whole").steps == 2
    callback = PatternMonitorCallback(recorder=tmp_path / "part", **settings)
    with pytest.raises(ArithmeticError, match="no more"):
        fit(made(Failing), tmp_path, callback)
    assert KeptTables(tmp_path / "part").steps() == [0, 5]
    assert SampleFlips.read(tmp_path / "part").steps == 2


def test_the_module_that_training_step_calls_may_be_named(tmp_path: Path) -> None:
    callback = PatternMonitorCallback("net", every=3)
    fit(Inner(), tmp_path, callback)
    assert callback.monitor is not None and callback.monitor.distances is not None
    assert [site.name for site in callback.monitor.distances.sites] == ["3", "6"]
    with pytest.raises(DataError, match="has seen no forward pass of its model"):
        fit(Inner(), tmp_path, PatternMonitorCallback(every=3))
    with pytest.raises(OptionError, match="module is 'nett', but Inner has net; name the one"):
        fit(Inner(), tmp_path, PatternMonitorCallback("nett"))
    with pytest.raises(OptionError, match="optimizer is 1, but configure_optimizers gave 1"):
        fit(Plain(), tmp_path, PatternMonitorCallback(optimizer=1))


def test_actcool_steers_by_batch_to_the_end(tmp_path: Path) -> None:
    module = Cooled()
    trainer = fit(module, tmp_path, accumulate_grad_batches=2, gradient_clip_val=1.0)
    scheduler: Any = trainer.lr_scheduler_configs[0].scheduler
    assert trainer.lr_scheduler_configs[0].interval == "step"
    assert scheduler.total_steps == 6
    assert scheduler.progress == 1.0
    assert scheduler.controller.n_fits >= 1
    assert len(set(module.rates)) >= 5


def test_a_training_without_an_end_wants_a_number(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="the trainer has no end"):
        fit(Cooled(), tmp_path, max_epochs=-1)


def test_a_resumed_training_goes_on_alike(tmp_path: Path) -> None:
    def callback(name: str) -> PatternMonitorCallback:
        return PatternMonitorCallback(every=2, measures_every=6, recorder=tmp_path / name)

    whole, rest = made(Cooled), made(Cooled, seed=9)

    def checkpoints() -> ModelCheckpoint:
        return ModelCheckpoint(tmp_path, "{step}", every_n_epochs=1, save_top_k=-1)

    settings: dict[str, Any] = {"max_epochs": 4, "enable_checkpointing": True}
    fit(whole, tmp_path, checkpoints(), callback("whole"), **settings)
    resumed = callback("rest")
    path = str(tmp_path / "step=12.ckpt")
    fit(rest, tmp_path, checkpoints(), resumed, resume=path, **settings)
    assert len(whole.rates) == 24
    assert rest.rates == whole.rates[12:]
    assert resumed.monitor is not None and resumed.monitor.step == 24
    rows = [row for row in read(tmp_path / "whole").to_pylist() if row["step"] >= 12]
    assert read(tmp_path / "rest").to_pylist() == rows


def test_an_alarm_may_stop_the_training(tmp_path: Path) -> None:
    class Ill(Plain):
        def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
            if self.global_step >= 6:
                with torch.no_grad():
                    for parameter in self.parameters():
                        parameter.mul_(1e-3)

    seen: list[Any] = []
    trainer = fit(
        made(Ill),
        tmp_path,
        PatternMonitorCallback(every=0, sweep_every=1, stop_on_alarm=True, on_alarm=seen.append),
        max_epochs=20,
    )
    assert trainer.should_stop
    assert 6 <= seen[0].step < 24
    assert trainer.global_step < 120


def steered(**settings: Any) -> type[Plain]:
    """Return a module that hands Lightning a bare scheduler: called once per epoch."""

    class Steered(Plain):
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=0.05)
            total = int(self.trainer.estimated_stepping_batches)
            scheduler = ActCoolLR(optimizer, self, total, **settings)
            return {"optimizer": optimizer, "lr_scheduler": scheduler}

    return Steered


def test_the_interval_of_an_epoch_is_told(tmp_path: Path) -> None:
    with pytest.warns(ClockWarning, match=r"took 6 steps .*Lightning: interval 'step'"):
        fit(made(steered()), tmp_path, max_epochs=2)
    module = made(steered(clock="steps"))
    trainer = fit(module, tmp_path, max_epochs=2)
    scheduler: Any = trainer.lr_scheduler_configs[0].scheduler
    assert trainer.lr_scheduler_configs[0].interval == "epoch"
    assert scheduler.progress == 1.0
    assert len(set(module.rates)) >= 10


def test_more_epochs_after_a_resume_have_rates(tmp_path: Path) -> None:
    def saving() -> ModelCheckpoint:
        return ModelCheckpoint(tmp_path, "{step}", every_n_epochs=1, save_top_k=-1)

    settings: dict[str, Any] = {"enable_checkpointing": True}
    fit(made(Cooled), tmp_path, saving(), max_epochs=2, **settings)
    longer = made(Cooled)
    path = str(tmp_path / "step=12.ckpt")
    trainer = fit(longer, tmp_path, saving(), resume=path, max_epochs=4, **settings)
    scheduler: Any = trainer.lr_scheduler_configs[0].scheduler
    assert scheduler.total_steps == 24
    assert scheduler.progress == 1.0
    assert len(longer.rates) == 12
    assert min(longer.rates[:6]) > 1e-3

"""Lightning's callbacks for rates and averages, and its manual loop with two networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightning")

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch import callbacks as theirs
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.optim.lr_scheduler import LinearLR, SequentialLR
from torch.utils.data import DataLoader, TensorDataset
from torch_nets import MILD, mlp, vectors

from reluflow_torch import ActCoolLR
from reluflow_torch.lightning import LearningRateMonitor, actcool_optimizers

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*logging interval"),
    pytest.mark.filterwarnings("ignore:Experiment logs directory"),
]
EPOCH = 6


class Net(LightningModule):
    """Keeps the rates that its optimiser's steps used, as a hook after each step sees them."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()
        self.rates: list[list[float]] = []

    def training_step(self, batch: Any, index: int) -> Tensor:
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def note(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        self.rates.append([float(group["lr"]) for group in optimizer.param_groups])

    def configure_optimizers(self) -> Any:
        layers = [{"params": self.net[:4].parameters()}, {"params": self.net[4:].parameters()}]
        optimizer = torch.optim.SGD(layers, lr=0.05, momentum=0.9)
        optimizer.register_step_post_hook(self.note)
        return actcool_optimizers(self, optimizer, "net", schedule=MILD)


class Warmed(Net):
    """Whose scheduler sets other rates before the batch ends."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=torch.tensor(0.05))
        optimizer.register_step_post_hook(self.note)
        warm = LinearLR(optimizer, 0.1, total_iters=4)
        cool = ActCoolLR(optimizer, self.net, 14, schedule=MILD)
        scheduler = SequentialLR(optimizer, [warm, cool], [4])
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]


def fit(module: LightningModule, folder: Path, *callbacks: Any, **more: Any) -> Trainer:
    batches = vectors(EPOCH)
    data = TensorDataset(torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches]))
    settings: dict[str, Any] = {"max_epochs": 3, "logger": False, "log_every_n_steps": 1, **more}
    trainer = Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        devices=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        callbacks=list(callbacks),
        **settings,
    )
    trainer.fit(module, DataLoader(data, batch_size=64))
    return trainer


class _Kept(CSVLogger):
    """Keeps what is logged, beside the file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.rows: list[tuple[int | None, Any]] = []

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self.rows.append((step, dict(metrics)))
        super().log_metrics(metrics, step)

    def values(self, name: str) -> dict[int | None, float]:
        return {step: row[name] for step, row in self.rows if name in row}


@pytest.mark.parametrize("kind", [Net, Warmed])
@pytest.mark.parametrize(("every", "accumulate"), [(1, 1), (5, 1), (1, 2)])
def test_the_monitor_shows_the_rates_really_used(
    kind: type[Net], every: int, accumulate: int, tmp_path: Path
) -> None:
    module, logger = kind(), _Kept(tmp_path)
    fit(
        module,
        tmp_path,
        LearningRateMonitor(log_momentum=kind is Net),
        logger=logger,
        log_every_n_steps=every,
        accumulate_grad_batches=accumulate,
    )
    steps = range(len(module.rates))
    assert len(steps) == 3 * EPOCH // accumulate
    for group in range(len(module.rates[0])):
        name = f"lr-SGD/pg{group + 1}" if kind is Net else "lr-SGD"
        expected = {n: module.rates[n][group] for n in steps if (n + 1) % every == 0}
        assert logger.values(name) == pytest.approx(expected)
    if kind is Net:
        assert set(logger.values("lr-SGD/pg1-momentum").values()) == {0.9}


def test_lightnings_own_monitor_is_one_step_late(tmp_path: Path) -> None:
    """As documentation says; where this is mended in Lightning, the other may go."""
    module, logger = Net(), _Kept(tmp_path)
    fit(module, tmp_path, theirs.LearningRateMonitor("step"), logger=logger)
    shown = logger.values("lr-SGD/pg1")
    assert shown[0] == 0.05
    assert [shown[n + 1] for n in range(3 * EPOCH - 1)] == [rates[0] for rates in module.rates[:-1]]


def test_the_monitor_lets_go_of_the_optimizer(tmp_path: Path) -> None:
    module, monitor = Net(), LearningRateMonitor()
    trainer = fit(module, tmp_path, monitor, logger=_Kept(tmp_path))
    names = [
        type(hook).__name__ for hook in trainer.optimizers[0]._optimizer_step_post_hooks.values()
    ]
    assert names == ["method", "WeakHook"]

    class Broken(Net):
        def training_step(self, batch: Any, index: int) -> Tensor:
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fit(Broken(), tmp_path, monitor, logger=_Kept(tmp_path))
    assert monitor._handles == []


@pytest.mark.filterwarnings("ignore:SWA is currently only supported every epoch")
def test_stochastic_weight_averaging_takes_over(tmp_path: Path) -> None:
    module = Net()
    swa = theirs.StochasticWeightAveraging(0.02, swa_epoch_start=4, annealing_epochs=1)
    fit(module, tmp_path, swa, max_epochs=6)
    used = [rates[0] for rates in module.rates]
    cooled, held, averaged = used[: 3 * EPOCH], used[3 * EPOCH : 4 * EPOCH], used[4 * EPOCH :]
    assert len(set(cooled)) == len(cooled)
    assert held == [cooled[-1]] * EPOCH
    # One more: Lightning makes a last pass for batch normalisation, and ends it with a step.
    assert averaged == pytest.approx([0.02] * (2 * EPOCH + 1))


class Gan(LightningModule):
    """The usual manual loop; each network has its optimiser and its scheduler."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        torch.manual_seed(0)
        self.maker = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 12))
        self.critic = nn.Sequential(nn.Linear(12, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))

    def training_step(self, batch: Any, index: int) -> None:
        optimizers: Any = self.optimizers()
        made = self.maker(torch.randn(len(batch[0]), 3))
        self.toggle_optimizer(optimizers[1])
        loss = (self.critic(made.detach()) - self.critic(batch[0])).mean()
        optimizers[1].zero_grad()
        self.manual_backward(loss)
        optimizers[1].step()
        self.untoggle_optimizer(optimizers[1])
        self.toggle_optimizer(optimizers[0])
        optimizers[0].zero_grad()
        self.manual_backward(-self.critic(made).mean())
        optimizers[0].step()
        self.untoggle_optimizer(optimizers[0])
        for scheduler in self.lr_schedulers():  # type: ignore[union-attr]
            scheduler.step()

    def configure_optimizers(self) -> Any:
        return tuple(
            actcool_optimizers(self, torch.optim.Adam(net.parameters(), 1e-3), name, schedule=MILD)
            for name, net in self.named_children()
        )


def test_two_networks_with_two_schedulers(tmp_path: Path) -> None:
    module = Gan()
    trainer = fit(module, tmp_path)
    schedulers: list[Any] = [config.scheduler for config in trainer.lr_scheduler_configs]
    assert [scheduler.progress for scheduler in schedulers] == [1.0, 1.0]
    assert [scheduler.total_steps for scheduler in schedulers] == [3 * EPOCH] * 2
    assert [scheduler.controller.samples for scheduler in schedulers] == [64, 2 * 64]
    rates = [[float(group["lr"]) for group in o.param_groups] for o in trainer.optimizers]
    assert rates == [scheduler.get_last_lr() for scheduler in schedulers]
    assert rates[0] != rates[1]

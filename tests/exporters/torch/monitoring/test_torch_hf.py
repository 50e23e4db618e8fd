"""The Hugging Face bridge, with the real Trainer and a tiny model made from a config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")
pytest.importorskip("accelerate")

import torch
import transformers
from torch import Tensor
from torch.utils.data import Dataset

from reluflow.patterns import read
from reluflow.temperature import PowerSchedule
from reluflow_torch import ActCoolLR, ClockWarning
from reluflow_torch.hf import STATE_FILE, PatternMonitorCallback, actcool_optimizers

RATES = [1e-4, 1e-2, 1.0, 100.0]


@pytest.fixture(autouse=True)
def without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("WANDB_MODE", "disabled")


class Tokens(Dataset[dict[str, Tensor]]):
    """Sequences whose label is whether their first token is small."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.tokens = torch.randint(0, 30, (48, 8), generator=generator)

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        row = self.tokens[index]
        return {"input_ids": row, "labels": (row[0] < 15).long()}


def tiny(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    config = transformers.BertConfig(  # type: ignore[call-arg]
        vocab_size=30,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        hidden_act="relu",
        max_position_embeddings=8,
        num_labels=2,
    )
    return transformers.BertForSequenceClassification(config)


def trainer_of(folder: Path, model: Any, *callbacks: Any, **more: Any) -> Any:
    optimizers = more.pop("optimizers", (None, None))
    settings = {"max_steps": 12, "save_strategy": "no", "logging_steps": 100, **more}
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=8,
        learning_rate=1e-3,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        seed=5,
        **settings,
    )
    return transformers.Trainer(
        model=model,
        args=arguments,
        train_dataset=Tokens(),
        callbacks=list(callbacks),
        optimizers=optimizers,
    )


def test_the_callback_records_and_changes_nothing(tmp_path: Path) -> None:
    plain, watched = tiny(), tiny()
    trainer_of(tmp_path, plain).train()
    callback = PatternMonitorCallback(
        every=3, measures_every=6, sweep_every=6, rates=RATES, recorder=tmp_path / "record"
    )
    trainer_of(tmp_path, watched, callback).train()
    for name, value in plain.state_dict().items():
        assert torch.equal(value, watched.state_dict()[name]), name
    assert callback.monitor is not None
    assert callback.monitor.step == 12
    rows = read(tmp_path / "record").to_pylist()
    names = {row["site"] for row in rows} - {"mean"}
    assert {name.split(".")[-2] for name in names if "encoder" in name} == {"intermediate"}
    first = next(row for row in rows if row["site"] in names)
    assert first["patterns"] <= first["samples"] == 64
    assert len(callback.monitor.phase_diagram().steps) == 2


def sgd(model: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-3)


def test_actcool_steers_and_resumes_from_a_checkpoint(tmp_path: Path) -> None:
    def run(folder: str, resume: bool = False, **more: Any) -> tuple[list[float], Any]:
        model, rates = tiny(), Rates()
        pair = actcool_optimizers(model, sgd(model), 12)
        callback = PatternMonitorCallback(every=2, recorder=tmp_path / f"record-{folder}")
        trainer = trainer_of(tmp_path / folder, model, rates, callback, optimizers=pair, **more)
        trainer.train(resume_from_checkpoint=resume)
        assert callback.monitor is not None
        return rates.rates, (pair[1], callback.monitor)

    saving: dict[str, Any] = {"save_strategy": "steps", "save_steps": 6}
    whole, (scheduler, _) = run("whole", **saving)
    assert scheduler.progress == 1.0
    assert len(set(whole)) >= 8
    checkpoint = tmp_path / "whole" / "checkpoint-6"
    assert (checkpoint / STATE_FILE).is_file()
    rest, (scheduler, monitor) = run("whole", resume=str(checkpoint), **saving)  # type: ignore[arg-type]
    assert scheduler.progress == 1.0
    assert rest == whole[6:]
    assert monitor.step == 12


class Rates(transformers.TrainerCallback):
    """Keeps the rate that each step used."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.rates.append(kwargs["optimizer"].param_groups[0]["lr"])


@pytest.mark.parametrize("reentrant", [None, False, True])
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_logged_rates_are_those_used_with_gradient_checkpointing_or_without(
    reentrant: bool | None, tmp_path: Path
) -> None:
    def run(reentrant: bool | None) -> tuple[list[float], list[float], Any]:
        model, rates = tiny(), Rates()
        more: dict[str, Any] = {}
        if reentrant is not None:
            more = {
                "activation_checkpointing": True,
                "activation_checkpointing_kwargs": {"use_reentrant": reentrant},
            }
        pair = actcool_optimizers(model, sgd(model), 12)
        trainer = trainer_of(tmp_path, model, rates, optimizers=pair, logging_steps=1, **more)
        trainer.train()
        assert model.is_activation_checkpointing == (reentrant is not None)
        logged = [row["learning_rate"] for row in trainer.state.log_history if "loss" in row]
        return rates.rates, logged, pair[1].distances

    used, logged, distances = run(reentrant)
    assert len(set(used)) >= 8
    assert logged == used
    assert (used, logged, distances) == run(None)


def test_an_alarm_may_stop_the_training(tmp_path: Path) -> None:
    class Ill(transformers.TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step >= 6:
                with torch.no_grad():
                    for parameter in kwargs["model"].parameters():
                        parameter.mul_(1e-3)

    seen: list[Any] = []
    callback = PatternMonitorCallback(
        every=0, sweep_every=1, stop_on_alarm=True, on_alarm=seen.append
    )
    trainer = trainer_of(tmp_path, tiny(), Ill(), callback, max_steps=60)
    trainer.train()
    assert seen
    assert trainer.state.global_step == seen[0].step + 1 < 60


class Wanted(transformers.TrainerCallback):
    """Records the target temperature at each step."""

    def __init__(self, scheduler: ActCoolLR) -> None:
        self.scheduler = scheduler
        self.bits: list[float] = []

    def on_pre_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        self.bits.append(self.scheduler.temperature)


def test_accumulated_steps_follow_the_line_and_a_longer_resume_goes_on(tmp_path: Path) -> None:
    schedule = PowerSchedule(start=1.5)

    def run(steps: int, **more: Any) -> list[float]:
        model = tiny()
        pair = actcool_optimizers(model, sgd(model), steps, schedule=schedule)
        wanted = Wanted(pair[1])
        resume = more.pop("resume", None)
        trainer = trainer_of(
            tmp_path, model, wanted, optimizers=pair, max_steps=steps,
            gradient_accumulation_steps=3, save_strategy="steps", save_steps=4, **more,
        )  # fmt: skip
        trainer.train(resume_from_checkpoint=resume)
        assert pair[1].progress == 1.0
        assert pair[1].controller.steps == steps
        return wanted.bits

    assert run(4) == pytest.approx([1.5, 1.125, 0.75, 0.375])
    rest = run(8, resume=str(tmp_path / "checkpoint-4"))
    assert rest == pytest.approx([0.75, 0.5625, 0.375, 0.1875])


def test_more_steps_than_named_are_told(tmp_path: Path) -> None:
    model = tiny()
    pair = actcool_optimizers(model, sgd(model), 4)
    with pytest.warns(ClockWarning, match="total_steps is 4 and 4 steps of the optimizer are over"):
        trainer_of(tmp_path, model, optimizers=pair, max_steps=6).train()

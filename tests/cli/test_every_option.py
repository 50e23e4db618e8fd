"""Every option of every command: where it would have no effect it is refused, or a note says so.

The options are read from the parser, so a new one fails here until it has an entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
import pytest
import small_models
import typer

import reluflow
from reluflow.cli import main
from reluflow.cli._main import app
from reluflow.patterns import PatternRecorder


@dataclass(frozen=True)
class Refused:
    """A command line in which the option would have no effect; it ends with code 2."""

    line: str
    words: str
    code: int = 2


@dataclass(frozen=True)
class Said:
    """A command line in which the option has no effect, with a note that says so."""

    line: str
    words: str
    code: int = 0


@dataclass(frozen=True)
class Always:
    """Why there is no such command line."""

    reason: str


RANDOM = "without --random N"
COUNTS = Always("a number of runs, units or patterns that results show")
ASKED = "the bytes on stdout are others"
PLACE = "what is written goes there"
BOUND = "a bound holds, reached or not"
IMAGES = "was given with random data"


def of_images(flag: str, value: str) -> dict[str, tuple[Refused, ...]]:
    return {
        f"{command} {flag}": (
            Refused(f"{command} {models} -d x.npy {flag} {value}", "no data are uint8 images"),
            Refused(f"{command} {models} --random 3 {flag} {value}", IMAGES),
        )
        for command, models in (("analyze", "m.onnx"), ("compare", "m.onnx m.onnx"))
    }


def of_inputs(command: str, models: str) -> dict[str, Any]:
    given = f"{command} {models}"
    return {
        f"{command} --data": Refused(f"{given} -d x.npy --random 3", "not both"),
        f"{command} --random": Refused(f"{given} -d x.npy --random 3", "not both"),
        f"{command} --seed": Refused(f"{given} -d x.npy --seed 3", RANDOM),
        f"{command} --dim": (
            Refused(f"{given} -d x.npy --dim N=3", RANDOM),
            Said(f"{given} --random 3 --dim q=4", "no input has a free dimension 'q'"),
        ),
        f"{command} --limit": Always(BOUND),
        f"{command} --batch-size": Refused(
            f"{command} {models.replace('m.onnx', 'fixed.onnx')} -d x.npy -b 4", "--batch-size is 4"
        ),
        f"{command} --threads": Always("ONNX Runtime and the hashing run in so many"),
        f"{command} --smooth": Said(f"{given} -d x.npy --smooth", "no Gelu, Silu or other smooth"),
        f"{command} --json": Always(ASKED),
        f"{command} --out": Always(PLACE),
    }


ROOT = {
    "--version": Always("it ends the command"),
    "--debug": Always("it shows a traceback wherever there is an error, and only then"),
    "--install-completion": Always("it ends the command"),
    "--show-completion": Always("it ends the command"),
}
NO_ARCHIVE = "--label-name is given, but does nothing without an .npz file"
NO_FLOAT = "is given, but does nothing without a float model"
EVAL = "psb eval m.onnx -d d.npz --samples 4 --seeds 1"
PSB_EVAL = "psb eval p.onnx -d d.npz --samples 4 --seeds 1"
CASCADE = "psb eval m.onnx -d d.npz --cascade 1/16"
ALONE = "does nothing without --cascade COARSE/FINE"
STEP = "sensitivity m.onnx -d d.npz --rates 1e-2:1:2"
PASSES = Always("both passes run by it, or what lies between")
ATTEND = "attend m.onnx --image"
UNREAD = "no data are uint8 images"
TABLE: dict[str, Refused | Said | Always | tuple[Refused | Said, ...]] = {
    **ROOT,
    "inspect --smooth": Said("inspect m.onnx --smooth", "no Gelu, Silu or other smooth"),
    "inspect --json": Always(ASKED),
    "doctor --json": Always(ASKED),
    **of_inputs("analyze", "m.onnx"),
    **of_inputs("compare", "m.onnx m.onnx"),
    **of_images("--size", "2x2"),
    **of_images("--mean", "0.5"),
    **of_images("--std", "0.5"),
    **of_images("--channels", "gray"),
    **{
        key: (*cases, Refused(f"{cases[0].line.replace('x.npy', 'u8.npy')}", "--layout is 'nchw'"))
        for key, cases in of_images("--layout", "nchw").items()
    },
    "analyze --resume": (
        Refused("analyze m.onnx -d x.npy --resume", "--resume is set without --out"),
        Refused("analyze m.onnx -d x.npy -o new --resume", "nothing to resume in new.partial"),
    ),
    "analyze --labels": Always("distances within and between classes are measured by them"),
    "analyze --hash": Always("the fingerprints of all patterns are others"),
    "analyze --memory": Refused(
        "analyze m.onnx -d x.npy --approximate --memory 9", "does nothing with --approximate"
    ),
    "analyze --approximate": Said(
        "analyze m.onnx -d x.npy --approximate", "No site has more than 16,384 patterns"
    ),
    "analyze --top": COUNTS,
    "analyze --checkpoint-every": Refused(
        "analyze m.onnx -d x.npy --checkpoint-every 3", "without --out FOLDER"
    ),
    "analyze --workers": Refused(
        "analyze m.onnx -d x.npy -o new --checkpoint-every 3 --workers 1",
        "does nothing with --workers",
    ),
    "analyze --cluster": Refused(
        "analyze m.onnx -d x.npy --workers 1 --cluster tcp://127.0.0.1:1", "nothing with --workers"
    ),
    "analyze --parts": Refused("analyze m.onnx -d x.npy --parts 2", "without --workers or"),
    "sensitivity --data": Always("it is needed"),
    "sensitivity --labels": Always("the loss is taken against them"),
    "sensitivity --label-name": (
        Refused("sensitivity m.onnx -d x.npy --labels y.npy --label-name label", NO_ARCHIVE),
        Refused("sensitivity m.onnx -d d.npz --labels y.npy --label-name label", NO_ARCHIVE),
    ),
    "sensitivity --loss": Always("each step is taken on it"),
    "sensitivity --optimizer": Always("each step is taken by it"),
    "sensitivity --momentum": Refused(
        f"{STEP} --optimizer adamw --momentum 0.5", "--momentum is 0.5, which adamw does not use"
    ),
    "sensitivity --rates": COUNTS,
    "sensitivity --batches": (
        Refused(f"{STEP} --batches 2", "--batches is 2, but the data are 1 of 128 inputs"),
        Refused(f"{STEP} --batches 6 -b 10", "--batches is 6, but the data are 5 of 10 inputs"),
    ),
    "sensitivity --frozen-norm": Refused(
        f"{STEP} --frozen-norm", "--frozen-norm is set, but the model has no batch normalisation"
    ),
    "sensitivity --smooth": Said(f"{STEP} --smooth", "no Gelu, Silu or other smooth"),
    "sensitivity --method": Always("the distances are found by it"),
    "sensitivity --batch-size": Refused(
        "sensitivity fixed.onnx -d d.npz -b 4", "--batch-size is 4"
    ),
    "sensitivity --threads": Always("torch runs in so many"),
    "sensitivity --out": Always(PLACE),
    "sensitivity --json": Always(ASKED),
    "slim --data": Always("it is needed"),
    "slim --out": Always(PLACE),
    "slim --check": Always("both models are compared on it"),
    "slim --limit": Always(BOUND),
    "slim --batch-size": Refused("slim fixed.onnx -d x.npy -b 4", "--batch-size is 4"),
    "slim --threads": Always("ONNX Runtime runs in so many"),
    "slim --json": Always(ASKED),
    "drift fit --data": Always("it is needed"),
    "drift fit --out": Always(PLACE),
    "drift fit --held-out": Always("the thresholds come from it"),
    "drift fit --patterns": Always("a bound holds, and what it leaves out is said"),
    "drift fit --limit": Always(BOUND),
    "drift fit --batch-size": Refused("drift fit fixed.onnx -o r -d x.npy -b 4", "--batch-size is"),
    "drift fit --threads": Always("ONNX Runtime runs in so many"),
    "drift fit --smooth": Always("smooth sites count too, and a note says where there are none"),
    "drift fit --size": Refused("drift fit m.onnx -o r -d x.npy --size 2x2", UNREAD),
    "drift fit --mean": Refused("drift fit m.onnx -o r -d x.npy --mean 0.5", UNREAD),
    "drift fit --std": Refused("drift fit m.onnx -o r -d x.npy --std 0.5", UNREAD),
    "drift fit --channels": Refused("drift fit m.onnx -o r -d x.npy --channels gray", UNREAD),
    "drift fit --layout": Refused("drift fit m.onnx -o r -d x.npy --layout nchw", UNREAD),
    "drift fit --json": Always(ASKED),
    "drift check --reference": Always("it is needed"),
    "drift check --data": Always("it is needed"),
    "drift check --site": Always("the score is made of it"),
    "drift check --false-alarms": Always("the thresholds are set for it"),
    "drift check --group": Always("groups are of so many"),
    "drift check --limit": Always(BOUND),
    "drift check --batch-size": Always("as for drift fit"),
    "drift check --threads": Always("ONNX Runtime runs in so many"),
    "drift check --size": Always("as for drift fit"),
    "drift check --mean": Always("as for drift fit"),
    "drift check --std": Always("as for drift fit"),
    "drift check --channels": Always("as for drift fit"),
    "drift check --layout": Always("as for drift fit"),
    "drift check --json": Always(ASKED),
    "attend --image": Always("it is needed"),
    "attend --number": Always("it says which picture, and is checked"),
    "attend --samples": PASSES,
    "attend --coarse": PASSES,
    "attend --half": Refused(f"{ATTEND} x.npy --half", "does nothing without --coarse FILE"),
    "attend --unsure": PASSES,
    "attend --halo": PASSES,
    "attend --margin": PASSES,
    "attend --carry": PASSES,
    "attend --tensor": PASSES,
    "attend --axis": Always("test_pixel_maps.py has where it is refused"),
    "attend --reading": Always("test_pixel_maps.py has where it is refused"),
    "attend --float": Always("errors of layers are taken against it"),
    "attend --tile": Always("the picture is run in tiles, and the answers are files"),
    "attend --memory": Refused(f"{ATTEND} x.npy --memory 9", "does nothing without --tile auto"),
    "attend --resume": (
        Refused(f"{ATTEND} x.npy --resume", "does nothing without --tile auto"),
        Refused(f"{ATTEND} x.npy --tile auto --resume", "does nothing without --out FOLDER"),
    ),
    "attend --seed": PASSES,
    "attend --size": Refused(f"{ATTEND} x.npy --size 2x2", UNREAD),
    "attend --mean": Refused(f"{ATTEND} x.npy --mean 0.5", UNREAD),
    "attend --std": Refused(f"{ATTEND} x.npy --std 0.5", UNREAD),
    "attend --channels": Refused(f"{ATTEND} x.npy --channels gray", UNREAD),
    "attend --layout": Refused(f"{ATTEND} u8.npy --layout nchw", "--layout is 'nchw'"),
    "attend --threads": Always("ONNX Runtime runs in so many"),
    "attend --out": Always(PLACE),
    "attend --json": Always(ASKED),
    "cells --plane": Always("the plane is another"),
    "cells --data": Always("the plane lies in them, or they are marked"),
    "cells --points": Refused("cells m.onnx --points 0,1,2", "does nothing without --data PATH"),
    "cells --seed": Refused("cells m.onnx -d x.npy --seed 3", "does nothing with --plane data"),
    "cells --window": Always("it is what is looked at"),
    "cells --site": Refused("cells m.onnx --site none", "--site names 'none', which is no site"),
    "cells --classes": Refused(
        "cells m.onnx --raster 4 --classes", "--classes is given, but does nothing with --raster"
    ),
    "cells --raster": COUNTS,
    "cells --batch-statistics": Refused(
        "cells m.onnx --batch-statistics", "does nothing without --raster PIXELS"
    ),
    "cells --seconds": Refused(
        "cells m.onnx --seconds 2", "--seconds is given, but does nothing without several models"
    ),
    "cells --size": Refused("cells m.onnx -d x.npy --size 2x2", UNREAD),
    "cells --mean": Refused("cells m.onnx -d x.npy --mean 0.5", UNREAD),
    "cells --std": Refused("cells m.onnx -d x.npy --std 0.5", UNREAD),
    "cells --channels": Refused("cells m.onnx -d x.npy --channels gray", UNREAD),
    "cells --layout": Refused("cells m.onnx -d u8.npy --layout nchw", "--layout is 'nchw'"),
    "cells --threads": Always("regions are handled, or ONNX Runtime runs, in so many"),
    "cells --out": Always(PLACE),
    "cells --json": Always(ASKED),
    "psb convert --out": Always(PLACE),
    "psb convert --p-bits": Always("every weight is stored in them"),
    "psb convert --sampler": Always("it is stored in the file"),
    "psb convert --draws": Always("it is stored, and serves whatever sampler a run asks for"),
    "psb convert --prune": Always("so many weights become 0"),
    "psb convert --prune-scope": Refused(
        "psb convert m.onnx -o q.onnx --prune-scope global", "without --prune SHARE"
    ),
    "psb convert --small": Always("a rule for weights of a size, however many there are"),
    "psb convert --x-bits": Refused(
        "psb convert m.onnx -o q.onnx --x-bits auto", "measures on data; give --calibrate DATA"
    ),
    "psb convert --x-loss": Refused(
        "psb convert m.onnx -o q.onnx --calibrate x.npy --x-loss 2", "without --x-bits auto"
    ),
    "psb convert --exclude": Refused(
        "psb convert m.onnx -o q.onnx --exclude none", "--exclude names 'none', which is no node"
    ),
    "psb convert --calibrate": Always("the scales of all activations come from it"),
    "psb convert --chains": Always("--no-chains alone is refused in test_chains_16.py"),
    "psb convert --tune": (
        Refused("psb convert m.onnx -o q.onnx --tune usual", "without --calibrate DATA"),
        Refused(
            "psb convert m.onnx -o q.onnx --calibrate x.npy --tune usual --prune 0.5",
            "--tune is usual, but prune=0.5 would change the weights that it chooses",
        ),
    ),
    "psb convert --budget": (
        Refused(
            "psb convert m.onnx -o q.onnx --calibrate x.npy --budget 4", "without --tune STEPS"
        ),
    ),
    "psb convert --fuse": Always("a rule for additions and activations, however many there are"),
    "psb convert --input-defaults": Always("the file's inputs have defaults, or have none"),
    "psb convert --limit": Refused(
        "psb convert m.onnx -o q.onnx --limit 5", "without --calibrate DATA"
    ),
    "psb convert --seed": Refused(
        "psb convert m.onnx -o q.onnx --seed 5", "without --small random"
    ),
    "psb convert --check": Always("the comparison is made, or is not"),
    "psb convert --json": Always(ASKED),
    "psb eval --data": Always("it is needed"),
    "psb eval --samples": COUNTS,
    "psb eval --labels": Always("all is judged by them"),
    "psb eval --label-name": (
        Refused("psb eval m.onnx -d x.npy --label-name label", NO_ARCHIVE),
        Refused("psb eval m.onnx -d d.npz --labels y.npy --label-name label", NO_ARCHIVE),
    ),
    "psb eval --output": Always("it is what is measured, and checked to be there"),
    "psb eval --metric": Always("it is what is measured"),
    "psb eval --threshold": (
        Refused(f"{EVAL} --threshold 0.5", "--threshold is 0.5, but output 'pre2'"),
        Refused(f"{EVAL} --threshold 0.5 --label-name three --metric rmse", "is read as numbers"),
        Refused(f"{EVAL} --threshold 0.5 --metric mine.py:first", "is read as it is"),
    ),
    "psb eval --float": Always("losses and SQNR are against it"),
    "psb eval --int8": Refused(
        f"{PSB_EVAL} --int8", "--float is missing, which is needed for --int8"
    ),
    "psb eval --sensitivity": Refused(
        f"{PSB_EVAL} --sensitivity 4", "--float is missing, which is needed for --sensitivity"
    ),
    "psb eval --seeds": (
        Said(f"{PSB_EVAL} --seeds 3 --sampler nearest", "stands for all 3 seeds"),
        Said("psb eval p.onnx -d d.npz --samples 1,2 --seeds 4", "stands for all 4 seeds"),
    ),
    "psb eval --cascade": Refused(f"{EVAL} --cascade 1/16", "--samples is given, but does nothing"),
    "psb eval --attention": Refused(
        f"{EVAL} --attention 1/16", "--samples is given, but does nothing"
    ),
    "psb eval --coarse": Refused(f"{EVAL} --coarse m.onnx", ALONE),
    "psb eval --unsure": Refused(f"{EVAL} --unsure margin", ALONE),
    "psb eval --loss": Refused(f"{EVAL} --loss 0.1", ALONE),
    "psb eval --confidence": Refused(
        f"{CASCADE} --confidence 0.9", "--confidence is given, but does nothing without --loss"
    ),
    "psb eval --p-bits": Refused(f"{PSB_EVAL} --p-bits 4", f"--p-bits {NO_FLOAT}"),
    "psb eval --sampler": Always("every run draws by it"),
    "psb eval --prune": Refused(f"{PSB_EVAL} --prune 0.5", f"--prune {NO_FLOAT}"),
    "psb eval --limit": Always(BOUND),
    "psb eval --batch-size": Refused("psb eval fixed.onnx -d d.npz -b 4", "--batch-size is 4, but"),
    "psb eval --threads": Always("ONNX Runtime runs in so many"),
    "psb eval --out": Always(PLACE),
    "psb eval --json": Always(ASKED),
    "psb allocate --out": Always(PLACE),
    "psb allocate --data": Always("it is needed"),
    "psb allocate --budget": Always("the mean of all numbers of samples"),
    "psb allocate --sampler": Always("it is measured by it, and stored in the file"),
    "psb allocate --seeds": COUNTS,
    "psb allocate --limit": Always(BOUND),
    "psb allocate --batch-size": Refused(
        "psb allocate q.onnx -o o.onnx -d x.npy -b 4", "--batch-size is 4, but"
    ),
    "psb allocate --threads": Always("ONNX Runtime runs in so many"),
    "psb allocate --json": Always(ASKED),
    "psb inline --out": Always(PLACE),
    "psb inline --nearest": Always("the file draws, or does not; nothing drawn is said"),
    "psb inline --input-defaults": Always("the file's inputs have defaults, or have none"),
    "psb inline --check": Always("both models are run, or are not"),
    "psb inline --json": Always(ASKED),
    "psb inspect --json": Always(ASKED),
    "psb inspect --profile": Always("the model is run, or is not"),
    "psb inspect --float": Refused(
        "psb inspect p.onnx --float m.onnx", "--float is given, but does nothing without --profile"
    ),
    "psb inspect --data": Refused("psb inspect p.onnx -d x.npy", "does nothing without --profile"),
    "psb inspect --dim": (
        Refused("psb inspect p.onnx --dim q=4", "does nothing without --profile"),
        Refused("psb inspect p.onnx --profile --dim q=4", "--dim has 'q', but no input"),
        Refused("psb inspect p.onnx --profile -d x.npy --dim q=4", "does nothing with --data"),
    ),
    "psb inspect --batch-size": Refused("psb inspect p.onnx -b 3", "without --profile"),
    "psb inspect --samples": Refused("psb inspect p.onnx --samples 4", "without --profile"),
    "psb inspect --runs": Refused("psb inspect p.onnx --runs 4", "without --profile"),
    "psb inspect --threads": Refused("psb inspect p.onnx --threads 1", "without --profile"),
    "edge --out": Always(PLACE),
    "edge --calibrate": Always("the scales, or the inputs of the self-test, come from it"),
    "edge --limit": Refused("edge m.onnx -o new --limit 5", "without --calibrate DATA"),
    "edge --name": Always("files and functions are named by it"),
    "edge --target": Always("the Makefile compiles for it"),
    "edge --strict": Always("the kernels are compiled without multiplications"),
    "edge --ram": Always(BOUND),
    "edge --samples": Always("shift-adds are told for it, and it is the header's default"),
    "edge --cascade": Always("the code has two passes of so many samples"),
    "edge --loss": Refused("edge m.onnx -o new --loss 0.1", "without --cascade FIRST/SECOND"),
    "edge --confidence": Refused(
        "edge m.onnx -o new --confidence 0.9", "without --cascade FIRST/SECOND"
    ),
    "edge --pixels": Always("inputs become pixels"),
    "edge --json": Always(ASKED),
    "recording --out": Always(PLACE),
    "view --out": Always(PLACE),
    "demo --models": Always("the model and the images come from there"),
    "demo --out": Always(PLACE),
}


def options_of(command: Any, path: str) -> list[str]:
    found = [
        f"{path} {param.opts[0]}".strip()
        for param in command.params
        if isinstance(param, click.Option) or param.param_type_name == "option"
    ]
    if hasattr(command, "list_commands"):
        context = click.Context(command)
        for name in command.list_commands(context):
            found += options_of(command.get_command(context, name), f"{path} {name}".strip())
    return found


def test_every_option_has_an_entry_and_every_entry_an_option() -> None:
    found = options_of(typer.main.get_command(app), "")
    assert len(found) > 80 and len(set(found)) == len(found)
    assert set(found) - set(TABLE) == set(), "say where these do nothing, or why they never do"
    assert set(TABLE) - set(found) == set(), "these are no options"


def test_a_reason_is_a_sentence() -> None:
    for key, entry in TABLE.items():
        if isinstance(entry, Always):
            assert len(entry.reason.split()) > 2, key


CASES = [
    (key, case)
    for key, entry in TABLE.items()
    for case in (entry if isinstance(entry, tuple) else (entry,))
    if not isinstance(case, Always)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("options")
    onnx.save(small_models.dense(), made / "m.onnx")
    fixed = small_models.dense()
    for value in [*fixed.graph.input, *fixed.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_value = 5
    onnx.save(fixed, made / "fixed.onnx")
    x = small_models.integers((50, 4)).astype(np.float32)
    np.savez(made / "d.npz", x=x, label=np.arange(50) % 3, three=x[:, :3])
    np.save(made / "x.npy", x)
    np.save(made / "y.npy", np.arange(50) % 3)
    np.save(made / "u8.npy", np.arange(200, dtype=np.uint8).reshape(50, 2, 2))
    (made / "mine.py").write_text("def first(outputs, labels):\n    return float(outputs[0, 0])\n")
    reluflow.convert(made / "m.onnx", made / "p.onnx")
    reluflow.convert(made / "fixed.onnx", made / "q.onnx")
    with PatternRecorder(made / "run") as recorder:
        recorder.record(0, "relu0", {"patterns": 3})
    return made


@pytest.mark.parametrize(("key", "case"), CASES, ids=[f"{key}: {c.line}" for key, c in CASES])
def test_an_option_does_nothing_in_silence_nowhere(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    key: str,
    case: Refused | Said,
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    flag = key.split()[-1]
    short = {"--batch-size": "-b", "--data": "-d", "--out": "-o"}.get(flag, flag)
    assert {flag, short} & set(case.line.split()), "the line does not give the option"
    assert main(case.line.split()) == case.code
    shown = capsys.readouterr()
    text = " ".join((shown.err if case.code else shown.out).split())
    assert case.words in text
    if case.code:
        assert shown.err.count("\n") == 1 and flag in text
    assert sorted(folder.iterdir()) == before


def test_draws_are_stored_whatever_the_sampler(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    values = []
    for draws in ("run", "product"):
        out = tmp_path / f"{draws}.onnx"
        line = f"psb convert m.onnx -o {out} --sampler nearest --draws {draws}"
        assert main(line.split()) == 0
        binomial = reluflow.EvaluationOptions(samples=(4,), seeds=2, sampler="binomial")
        found = reluflow.evaluate(out, "d.npz", float_model="m.onnx", options=binomial)
        values.append(found.points[0].outputs)
    assert values[0] != values[1]


@pytest.mark.parametrize("kind", ["generator", "callable"])
def test_batches_of_an_unknown_number_are_counted_at_the_end(folder: Path, kind: str) -> None:
    held = np.load(folder / "d.npz")
    parts = [held["x"][at : at + 10] for at in range(0, 50, 10)]
    data: Any = (part for part in parts) if kind == "generator" else lambda: iter(parts)
    with pytest.raises(reluflow.ReluflowError, match="batches is 6, but the data are 5 of 10"):
        reluflow.sensitivity(
            folder / "m.onnx", data, held["label"], rates=[0.1, 1.0], batches=6, batch_size=10
        )


def test_python_refuses_what_would_do_nothing(folder: Path) -> None:
    model, x = folder / "m.onnx", np.load(folder / "x.npy")
    with pytest.raises(reluflow.ReluflowError, match="limit is 5, but does nothing without calib"):
        reluflow.convert(model, limit=5)
    with pytest.raises(reluflow.ReluflowError, match=r"threshold is 0\.5, but output"):
        options = reluflow.EvaluationOptions(threshold=0.5)
        reluflow.evaluate(model, x, np.arange(50) % 3, options=options)
    for value in (float("nan"), float("inf")):
        with pytest.raises(reluflow.ReluflowError, match=f"threshold is {value}; give a finite"):
            reluflow.EvaluationOptions(threshold=value)
    with pytest.raises(reluflow.ReluflowError, match="frozen_norm is set, but the model has no"):
        reluflow.sensitivity(model, x, np.arange(50) % 3, frozen_norm=True)
    from reluflow.data import Preprocessing, RandomData

    said = "no input has a free dimension 'q': its size does nothing."
    assert said in reluflow.analyze(model, RandomData(3, dims={"q": 4})).notes
    assert said not in reluflow.analyze(model, RandomData(3)).notes
    with pytest.raises(reluflow.ReluflowError, match="layout is 'nhwc', but input 'x' wants"):
        reluflow.analyze(model, folder / "u8.npy", preprocessing=Preprocessing(layout="nhwc"))
    assert "no Gelu, Silu" in reluflow.inspect(model, smooth=True).notes[0]
    assert reluflow.inspect(model).notes == ()

"""No option is silently ignored: one without effect is refused."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import small_models

import reluflow
from reluflow.cli import main
from reluflow.errors import OptionError
from reluflow.graph import PsbOptions


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("idle")
    onnx.save(small_models.dense(), made / "m.onnx")
    np.savez(made / "d.npz", x=small_models.integers((50, 4)), label=np.arange(50) % 3)
    np.save(made / "x.npy", small_models.integers((50, 4)))
    np.save(made / "y.npy", np.arange(50) % 3)
    assert main(["psb", "convert", str(made / "m.onnx"), "-o", str(made / "p.onnx")]) == 0
    return made


DATA = "--data x.npy"
LABELS = "--labels y.npy"
CASES = [
    (f"analyze m.onnx {DATA} --seed 0", "--seed", "--random N"),
    (f"analyze m.onnx {DATA} --dim N=3", "--dim", "--random N"),
    ("analyze m.onnx --random 3 --checkpoint-every 5", "--checkpoint-every", "--out FOLDER"),
    (f"compare m.onnx m.onnx {DATA} --seed 1", "--seed", "--random N"),
    (f"compare m.onnx m.onnx {DATA} --dim N=3", "--dim", "--random N"),
    ("psb convert m.onnx -o q.onnx --limit 5", "--limit", "--calibrate DATA"),
    ("psb convert m.onnx -o q.onnx --calibrate x.npy --budget 4", "--budget", "--tune STEPS"),
    ("psb convert m.onnx -o q.onnx --seed 5", "--seed", "--small random"),
    ("psb convert m.onnx -o q.onnx --prune-scope global", "--prune-scope", "--prune SHARE"),
    (f"psb eval p.onnx {DATA} {LABELS} --p-bits 4", "--p-bits", "a float model"),
    (f"psb eval p.onnx {DATA} {LABELS} --prune 0.5", "--prune", "a float model"),
    (f"psb eval m.onnx {DATA} --label-name t", "--label-name", "an .npz file"),
    (f"psb eval m.onnx {DATA} {LABELS} --label-name t", "--label-name", "an .npz file"),
    (f"sensitivity m.onnx {DATA} {LABELS} --label-name t", "--label-name", "an .npz file"),
]


@pytest.mark.parametrize(("line", "flag", "needed"), CASES, ids=[case[0] for case in CASES])
def test_an_option_that_would_do_nothing_is_refused(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: str,
    flag: str,
    needed: str,
) -> None:
    monkeypatch.chdir(folder)
    assert main(line.split()) == 2
    error = capsys.readouterr().err
    assert f"{flag} is given, but does nothing without {needed}" in error
    assert error.count("\n") == 1 and not (folder / "q.onnx").exists()


@pytest.mark.parametrize("command", ["analyze m.onnx", "sensitivity m.onnx", "psb eval m.onnx"])
def test_a_batch_size_beside_a_fixed_one_is_refused(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    proto = small_models.dense()
    for value in [*proto.graph.input, *proto.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_value = 5
    onnx.save(proto, tmp_path / "m.onnx")
    monkeypatch.chdir(tmp_path)
    assert main([*command.split(), "--data", str(folder / "d.npz"), "--batch-size", "4"]) == 2
    assert "--batch-size is 4, but" in capsys.readouterr().err


def test_adamw_has_no_momentum(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["sensitivity", str(folder / "m.onnx"), "--data", str(folder / "d.npz")]
    assert main([*argv, "--optimizer", "adamw", "--momentum", "0.9"]) == 2
    assert "--momentum is 0.9, which adamw does not use" in capsys.readouterr().err


def test_a_call_refuses_how_to_convert_what_is_converted(folder: Path) -> None:
    with pytest.raises(OptionError, match="psb is given, but the model is converted already"):
        reluflow.evaluate(folder / "p.onnx", folder / "x.npy", folder / "y.npy", psb=PsbOptions())


BESIDE = [
    ("--samples 4", "--samples"),
    ("--seeds 3", "--seeds"),
    ("--metric accuracy", "--metric"),
    ("--threshold 0.5", "--threshold"),
    ("--int8", "--int8"),
    ("--sensitivity 4", "--sensitivity"),
    ("--sampler nearest", "--sampler"),
    ("--out page", "--out"),
]


@pytest.mark.parametrize("instead", ["--cascade", "--attention"])
@pytest.mark.parametrize(("given", "flag"), BESIDE, ids=[flag for _, flag in BESIDE])
def test_what_does_nothing_beside_two_passes_is_refused(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: str,
    flag: str,
    instead: str,
) -> None:
    monkeypatch.chdir(folder)
    assert main(f"psb eval p.onnx {DATA} {LABELS} {instead} 1/16 {given}".split()) == 2
    error = capsys.readouterr().err
    assert f"{flag} is given, but does nothing with {instead}; leave one of them out." in error
    assert error.count("\n") == 1 and not (folder / "page").exists()

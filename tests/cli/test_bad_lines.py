"""Bad command lines of every kind: one sentence in terms of the command line, and code 2."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import small_models

import reluflow
from reluflow.cli import main

NUMBERS = ("nan", "inf", "-1", "1e400", "many", "", "0x10", "1.5.2", "None", "True")
WHOLE = (*NUMBERS, "0", "2.5")
HUGE = "99999999999999999999999"


def given(command: str, flag: str, values: tuple[str, ...]) -> list[list[str]]:
    return [[*command.split(), f"{flag}={value}"] for value in values]


ANALYZE = "analyze m.onnx -d x.npy"
RANDOM = "analyze m.onnx --random=3"
COMPARE = "compare m.onnx m.onnx -d x.npy"
STEP = "sensitivity m.onnx -d d.npz"
CONVERT = "psb convert m.onnx -o q.onnx"
EVAL = "psb eval m.onnx -d d.npz"
SIDES = ("", "0", "axb", "1x2x3", "-3", "nan", "99999999", "1.5")
LISTS = ("", "a", "1,a", "nan", "inf", "1,,2", "1,2,3,4,5,6,7", "None", "[1]")
NAMES = ("", "none", "None", "SGD", "[]", "1")

WRONG_VALUES = [
    *given(ANALYZE, "--limit", WHOLE),
    *given(ANALYZE, "--batch-size", WHOLE),
    *given(ANALYZE, "--threads", (*WHOLE, HUGE)),
    *given(ANALYZE, "--memory", WHOLE),
    *given(ANALYZE, "--top", (*NUMBERS, "2.5")),
    *given(ANALYZE, "--hash", NAMES),
    *given(ANALYZE + " -o r", "--checkpoint-every", ("nan", "-1", "many", "", "None")),
    *given("analyze m.onnx", "--random", WHOLE),
    *given(RANDOM, "--seed", (*NUMBERS, "2.5")),
    *given(RANDOM, "--dim", ("", "x", "x=", "=3", "N=0", "N=-1", "N=nan", "N=1.5")),
    *given(ANALYZE, "--size", SIDES),
    *given(ANALYZE, "--mean", LISTS),
    *given(ANALYZE, "--std", (*LISTS, "0", "-1")),
    *given(ANALYZE, "--channels", NAMES),
    *given(ANALYZE, "--layout", NAMES),
    *given("analyze image.onnx -d u8.npy", "--size", SIDES),
    *given("analyze image.onnx -d u8.npy", "--mean", LISTS),
    *given("analyze image.onnx -d u8.npy", "--std", (*LISTS, "0", "-1")),
    *given("analyze image.onnx -d u8.npy", "--channels", (*NAMES, "rgb")),
    *given("analyze image.onnx -d u8.npy", "--layout", NAMES),
    *given(ANALYZE, "--labels", ("", "gone.npy", "x.npy", "m.onnx", "few.npy", "run")),
    *given(COMPARE, "--limit", WHOLE),
    *given(COMPARE, "--batch-size", WHOLE),
    *given(COMPARE, "--threads", WHOLE),
    *given("compare m.onnx m.onnx", "--random", WHOLE),
    *given(STEP, "--label-name", ("", "none", "text", "None")),
    *given(STEP, "--labels", ("gone.npy", "few.npy", "x.npy", "m.onnx", "run", "float.npy")),
    *given(STEP, "--loss", NAMES),
    *given(STEP, "--optimizer", NAMES),
    *given(STEP, "--method", NAMES),
    *given(STEP, "--momentum", (*NUMBERS, "1")),
    *given(STEP, "--rates", ("", "1", "1:2", "2:1:5", "0:1:5", "1:nan:3", "1:2:1", "a:b:c",
                             "1:inf:3", "1e-2:1:-4", "nan:1:3", "1:2:3:4", "1:2:1.5", "1:1e400:3")),
    *given(STEP, "--batches", (*WHOLE, "7")),
    *given(STEP, "--batch-size", WHOLE),
    *given(STEP, "--threads", WHOLE),
    *given(CONVERT, "--p-bits", (*WHOLE, "5", HUGE)),
    *given(CONVERT, "--sampler", NAMES),
    *given(CONVERT, "--draws", NAMES),
    *given(CONVERT, "--prune", (*NUMBERS, "1", "2")),
    *given(CONVERT + " --prune 0.5", "--prune-scope", NAMES),
    *given(CONVERT, "--small", NAMES),
    *given(CONVERT, "--x-bits", (*WHOLE, "1", "17", "automatic")),
    *given(CONVERT, "--exclude", ("none", "", "None")),
    *given(CONVERT, "--calibrate", ("gone.npy", "", "m.onnx", "y.npy", "nan.npy")),
    *given(CONVERT + " --calibrate x.npy", "--limit", WHOLE),
    *given(CONVERT + " --calibrate x.npy", "--tune", ("", ",", "bias,,follow", "all", "Bias")),
    *given(CONVERT + " --calibrate x.npy --tune usual", "--budget", (*NUMBERS, "1", "1.99", "65")),
    *given(CONVERT + " --small random", "--seed", (*NUMBERS, "2.5")),
    *given(EVAL, "--samples", ("", ",", "0", "3", "128", "-4", "1.5", "nan", "a", "1;2", "None")),
    *given(EVAL, "--labels", ("gone.npy", "few.npy", "x.npy", "m.onnx", "run", "text.npy")),
    *given(EVAL, "--label-name", ("", "none", "text")),
    *given(EVAL, "--output", ("", "z", "None")),
    *given(EVAL, "--metric", ("", "f1", ":", "a:", ":b", "gone.py:f", "numpy:pi", "gone.mod:f",
                              "bad.py:f", "mine.py:none", "mine.py:raises", "mine.py:text")),
    *given(EVAL, "--threshold", (*NUMBERS, "0.5")),
    *given(EVAL, "--sensitivity", (*WHOLE, "3")),
    *given(EVAL, "--seeds", WHOLE),
    *given(EVAL, "--p-bits", (*WHOLE, "5")),
    *given(EVAL, "--sampler", NAMES),
    *given(EVAL, "--prune", (*NUMBERS, "1", "2")),
    *given(EVAL, "--limit", WHOLE),
    *given(EVAL, "--batch-size", WHOLE),
    *given(EVAL, "--threads", WHOLE),
    *given(EVAL, "--float", ("gone.onnx", "", "x.npy", "run", "p.onnx")),
]  # fmt: skip

BAD_FILES = ("gone.onnx", "", "run", "x.npy", "junk.onnx", "empty.onnx", "cut.onnx", "gone/m.onnx")
BAD_DATA = ("gone.npy", "", "m.onnx", "run", "junk.onnx", "empty.onnx", "y.npy", "wide.npy",
            "text.npy", "objects.npy", "strange.npz", "cut.npz", "broken.npy", "none.npz",
            "fortran.npz", "sample.npy")  # fmt: skip
BAD_OUTS = ("m.onnx", "x.npy", "x.npy/r", "full", "")
WRONG_FILES = [
    *[["inspect", name] for name in BAD_FILES],
    *[["analyze", name, "-d", "x.npy"] for name in BAD_FILES],
    *[["compare", name, "m.onnx", "-d", "x.npy"] for name in BAD_FILES],
    *[["compare", "m.onnx", name, "-d", "x.npy"] for name in (*BAD_FILES, "image.onnx", "p.onnx")],
    *[["compare", "m.onnx", "m.onnx", name, "-d", "x.npy"] for name in (*BAD_FILES, "image.onnx")],
    *[["sensitivity", name, "-d", "d.npz"] for name in (*BAD_FILES, "p.onnx")],
    *[["psb", "convert", name, "-o", "q.onnx"] for name in (*BAD_FILES, "p.onnx", "relu.onnx")],
    *[["psb", "eval", name, "-d", "d.npz"] for name in (*BAD_FILES, "relu.onnx")],
    *[["psb", "inspect", name] for name in (*BAD_FILES, "m.onnx")],
    *[["analyze", "m.onnx", "-d", name] for name in BAD_DATA],
    *[["analyze", "image.onnx", "-d", name] for name in ("gray.npy", "x.npy", "turned.npy")],
    *[["analyze", "colour.onnx", "-d", name] for name in ("gray.npy", "u8.npy", "turned.npy")],
    *[["compare", "m.onnx", "m.onnx", "-d", name] for name in BAD_DATA],
    *[["sensitivity", "m.onnx", "-d", name, "--labels", "y.npy"] for name in BAD_DATA],
    *[["psb", "eval", "m.onnx", "-d", name, "--labels", "y.npy"] for name in BAD_DATA],
    *[["analyze", "m.onnx", "-d", "x.npy", "-o", name] for name in BAD_OUTS],
    *[["compare", "m.onnx", "m.onnx", "-d", "x.npy", "-o", name] for name in BAD_OUTS],
    *[["sensitivity", "m.onnx", "-d", "d.npz", "-o", name] for name in BAD_OUTS[:3]],
    *[["psb", "eval", "m.onnx", "-d", "d.npz", "-o", name] for name in BAD_OUTS[:3]],
    *[["psb", "convert", "m.onnx", "-o", name] for name in ("m.onnx", "full", "x.npy/q.onnx", "")],
    *[["recording", name] for name in ("gone", "", "x.npy", "full")],
    *[["recording", "run", "-o", name] for name in ("full", "x.npy/page.html", "gone/page.html")],
    *[["view", name] for name in ("gone", "", "x.npy", "bare")],
    *[["demo", "--models", name, "-o", "r"] for name in ("gone", "", "x.npy")],
]
WRONG_LINES = [
    line.split()
    for line in (
        "analyse m.onnx", "analyze", "analyze m.onnx", "analyze m.onnx m.onnx -d x.npy",
        "analyze m.onnx --data", "analyze m.onnx -d x.npy --random 3",
        "analyze m.onnx -d x.npy --batch_size 3", "analyze m.onnx -d x.npy --batchsize 3",
        "analyze m.onnx -d x.npy --resume", "analyze m.onnx -d x.npy --resume -o new",
        "analyze m.onnx -d x.npy --smooth yes", "analyze m.onnx -d x.npy --smooth=yes",
        "analyze free.onnx --random 3", "analyze unranked.onnx --random 3",
        "compare", "compare m.onnx -d x.npy", "compare m.onnx m.onnx", "compare m.onnx m.onnx -d",
        "sensitivity", "sensitivity m.onnx", "sensitivity m.onnx -d x.npy",
        "sensitivity m.onnx -d d.npz --optimizer adamw --momentum 0.9",
        "sensitivity m.onnx -d d.npz --frozen-norm", "sensitivity linear.onnx -d d.npz",
        "sensitivity m.onnx -d d.npz --loss binary-cross-entropy",
        "sensitivity m.onnx -d d.npz --loss mse", "sensitivity m.onnx -d nan.npz",
        "psb evaluate m.onnx", "psb convert", "psb convert m.onnx", "psb eval",
        "psb eval m.onnx", "psb eval p.onnx -d x.npy", "psb eval p.onnx -d bare.npz",
        "psb eval p.onnx -d d.npz --int8", "psb eval p.onnx -d d.npz --sensitivity 4",
        "psb eval p.onnx -d d.npz --p-bits 4", "psb eval p.onnx -d d.npz --prune 0.5",
        "psb eval m.onnx -d x.npy --label-name label",
        "psb convert m.onnx -o q.onnx --x-bits auto", "psb convert m.onnx -o q.onnx --limit 3",
        "psb convert m.onnx -o q.onnx --seed 3",
        "psb convert m.onnx -o q.onnx --prune-scope global",
        "psb inspect", "recording", "view", "demo extra", "inspect", "inspect m.onnx --yes",
        "--version --none", "--none", "inspect m.onnx --json=1",
    )
]  # fmt: skip
LINES = [*WRONG_VALUES, *WRONG_FILES, *WRONG_LINES]

OF_PYTHON = (
    r"\bNone\b", r"\bTrue\b", r"\bFalse\b", r"\w*Error\b", r"\bException\b", r"\bnumpy\b",
    r"\bTraceback\b", r"\bndarray\b", r"\bdict\b", r"\btuple\b", r"\[\]", r"\bself\b", r"<class",
    r"\blambda\b", r"\.py\b", r"\bnp\.", r"\bimport\b", r"0x[0-9a-f]{6}", r"\([^)]*\w+=",
    r"\b[a-z]+_[a-z_]+\b", r"\b[a-z]+=[A-Z(\[{]", r"\bforesee\b",
)  # fmt: skip
"""Words that only Python uses; words between quotation marks are the user's own."""


def said(sentence: str, line: list[str]) -> list[str]:
    """Return the words of Python in a sentence, but for what was typed."""
    for word in line:
        for part in {word, word.partition("=")[2]} - {""}:
            sentence = sentence.replace(part, "")
    sentence = re.sub(r"'[^']*'", "''", sentence)
    sentence = re.sub(r"(cannot be loaded|fails on .*) \(.*\);", r"\1;", sentence)  # their code
    sentence = sentence.replace("FILE.py:FUNCTION", "").replace("a Python file", "")
    return [found[0] for pattern in OF_PYTHON if (found := re.search(pattern, sentence))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bad")
    proto = small_models.dense()
    onnx.save(proto, made / "m.onnx")
    onnx.save(small_models.convolutional(size="side"), made / "free.onnx")
    relu = [onnx.helper.make_node("Relu", ["x"], ["y"], name="relu")]
    shapes: dict[str, list[int | str]] = {
        "relu": ["N", 4], "image": ["N", 1, 2, 2], "colour": ["N", 3, 2, 5], "unranked": ["N", 4],
    }  # fmt: skip
    for name, shape in shapes.items():
        held = small_models.model(relu, {}, {"x": shape}, {"y": shape})
        if name == "unranked":
            held.graph.input[0].type.tensor_type.ClearField("shape")
        onnx.save(held, made / f"{name}.onnx")
    plain = [onnx.helper.make_node("MatMul", ["x", "w"], ["y"], name="fc")]
    weights = {"w": np.ones((4, 3), np.float32)}
    held = small_models.model(plain, weights, {"x": ["N", 4]}, {"y": ["N", 3]})
    onnx.save(held, made / "linear.onnx")
    reluflow.convert(made / "m.onnx", made / "p.onnx")
    x = small_models.integers((50, 4)).astype(np.float32)
    y = np.arange(50) % 3
    arrays = {
        "x": x, "y": y, "few": y[:7], "float": y + 0.5, "wide": np.ones((50, 9), np.float32),
        "u8": np.arange(200, dtype=np.uint8).reshape(50, 2, 2), "nan": x * np.nan,
        "text": np.array(["a"] * 50), "sample": x[0], "gray": x.reshape(50, 2, 2),
        "turned": np.ones((50, 2, 5, 3), np.float32),
    }  # fmt: skip
    for name, array in arrays.items():
        np.save(made / f"{name}.npy", array)
    np.save(made / "objects.npy", np.array([{}, None], object))
    np.savez(made / "d.npz", x=x, label=y, text=arrays["text"])
    np.savez(made / "nan.npz", x=x * np.nan, label=y)
    np.savez(made / "bare.npz", x=x)
    np.savez(made / "strange.npz", other=x, more=y)
    np.savez(made / "fortran.npz", x=np.asfortranarray(x))
    np.savez(made / "none.npz")
    (made / "broken.npy").write_bytes((made / "x.npy").read_bytes()[:90])
    (made / "cut.npz").write_bytes((made / "d.npz").read_bytes()[:200])
    (made / "cut.onnx").write_bytes(proto.SerializeToString()[:100])
    (made / "junk.onnx").write_bytes(b"\x80 this is no model")
    (made / "empty.onnx").write_bytes(b"")
    (made / "bad.py").write_text("this is no Python\n")
    (made / "mine.py").write_text(
        "def raises(outputs, labels):\n    raise ValueError('mine')\n\n"
        "def text(outputs, labels):\n    return 'a'\n"
    )
    (made / "run").mkdir()
    (made / "run" / "notes.txt").write_text("")
    (made / "bare").mkdir()
    (made / "full").mkdir()
    (made / "full" / "notes.txt").write_text("")
    return made


@pytest.mark.parametrize("line", LINES, ids=[" ".join(line) for line in LINES])
def test_a_bad_line_is_answered_in_the_words_of_the_command_line(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: list[str],
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    assert main(line) == 2
    error = capsys.readouterr().err
    assert error.startswith("reluflow: ") and error.endswith(".\n") and error.count("\n") == 1
    assert not said(error, line), error
    assert sorted(folder.rglob("*")) == before


def test_the_words_of_python_are_found() -> None:
    for sentence in (
        "batch_size is 0.",
        "x is None.",
        "ValueError: no.",
        "give it as size=(2, 2).",
    ):
        assert said(sentence, []), sentence
    for sentence in ("--batch-size is 0; give 1.", "input 'batch_size' is [N, 3].", "gone.py: no."):
        assert not said(sentence, ["gone.py"]), sentence

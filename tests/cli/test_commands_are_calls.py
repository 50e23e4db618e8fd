"""Each command is one call of the library: Python has the same verb with the same result."""

import ast
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import small_models

import reluflow
from reluflow.cli import main
from reluflow.cli._commands import COMMANDS
from reluflow.cli._words import in_options
from reluflow.data import RandomData
from reluflow.patterns import PatternRecorder
from reluflow.report import read_json, to_json

Run = Callable[[str], Any]
SHIPPED = Path(__file__).parents[2] / "models"
VERBS = {
    "inspect:inspect": {"inspect"},
    "analyze:analyze": {"analyze"},
    "compare:compare": {"compare", "compare_checkpoints"},
    "sensitivity:sensitivity": {"sensitivity"},
    "slim:slim": {"slim"},
    "drift:fit": {"fit_drift"},
    "drift:check": {"check_drift"},
    "attend:attend": {"attend"},
    "cells:cells": {"find_cells", "animate_cells"},
    "psb:convert": {"convert", "inspect_psb"},
    "psb:evaluate_model": {"evaluate", "evaluate_attention", "evaluate_cascade"},
    "psb:allocate": {"allocate_samples"},
    "psb:inline": {"inline_psb"},
    "psb:inspect": {"inspect_psb", "profile_psb"},
    "edge:edge": {"edge_project"},
    "recording:recording": {"write_recording_page"},
    "view:view": {"write_index"},
    "demo:demo": {"demo"},
    "doctor:doctor": {"doctor"},
}
"""Module and function of a command -> the public calls that it is made of."""
API = ("reluflow._api", "reluflow.installation")
WIRING = ("typer", "rich", "reluflow.cli", *API, "reluflow.errors", "reluflow.report")
"""Where a command imports functions from; the rest is records of options and results."""


def tree_of(module: str) -> ast.Module:
    path = Path(reluflow.__file__).parent / "cli" / "commands" / f"{module}.py"
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.Module) -> dict[str, tuple[str, str]]:
    """Return local name -> module and name there."""
    return {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("command", VERBS)
def test_a_command_calls_what_a_python_user_calls(command: str) -> None:
    module, _, name = command.partition(":")
    tree = tree_of(module)
    known = imports(tree)
    [body] = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name]
    used = {node.func.id for node in ast.walk(body) if isinstance(node, ast.Call)
            if isinstance(node.func, ast.Name)}  # fmt: skip
    called = {known[each] for each in used if each in known}
    verbs = {name for where, name in called if where.startswith(API)}
    assert verbs == VERBS[command] and verbs <= set(reluflow.__all__)
    others = {name for where, name in called if where.startswith("reluflow.")
              if not where.startswith(WIRING)}  # fmt: skip
    assert all(name.endswith("Options") or name == "default_rates" for name in others), others
    shown = {name for where, name in called if where == "reluflow.report"}
    assert all(name.startswith("print_") or name == "to_json" for name in shown), shown


def test_every_command_is_among_them() -> None:
    functions = {each.rpartition(".")[2] for each in COMMANDS.values()}
    assert functions - {"psb:app", "drift:app"} == set(VERBS) - {
        "drift:fit",
        "drift:check",
        "psb:convert",
        "psb:evaluate_model",
        "psb:allocate",
        "psb:inline",
        "psb:inspect",
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("calls")
    onnx.save(small_models.dense(), made / "m.onnx")
    onnx.save(small_models.dense(shift=1), made / "later.onnx")
    x = small_models.integers((50, 4)).astype(np.float32)
    np.savez(made / "d.npz", x=x, label=np.arange(50) % 3, other=np.arange(50) % 2, many=x[:, :3])
    np.save(made / "x.npy", x)
    np.save(made / "y.npy", np.arange(50) % 3)
    reluflow.convert(made / "m.onnx", made / "p.onnx")
    (made / "mine.py").write_text("def first(outputs, labels):\n    return float(outputs[0, 0])\n")
    return made


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a command's JSON; it runs in the folder, like the calls it is compared with."""
    monkeypatch.chdir(folder)

    def printed(line: str) -> Any:
        assert main([*line.split(), "--json"]) == 0, line
        return json.loads(capsys.readouterr().out)

    return printed


def plain(result: Any) -> Any:
    return json.loads(json.dumps(result))


def same_but_time(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert {**a, "run": None} == {**b, "run": None}


FEW = reluflow.EvaluationOptions(samples=(2, 8), seeds=2, threads=1)
EVALUATIONS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("m.onnx -d d.npz", ("m.onnx", "d.npz"), {}),
    ("m.onnx -d d.npz --label-name other", ("m.onnx", "d.npz"), {"label_name": "other"}),
    ("m.onnx -d x.npy", ("m.onnx", "x.npy"), {}),
    ("p.onnx -d x.npy --labels y.npy", ("p.onnx", "x.npy", "y.npy"), {}),
    ("p.onnx -d x.npy --labels d.npz", ("p.onnx", "x.npy", "d.npz"), {}),
    ("p.onnx -d x.npy --float m.onnx", ("p.onnx", "x.npy"), {"float_model": "m.onnx"}),
    ("m.onnx -d d.npz --limit 20", ("m.onnx", "d.npz"), {"limit": 20}),
    ("m.onnx -d d.npz --metric mine.py:first", ("m.onnx", "d.npz"), {"metric": "mine.py:first"}),
    ("m.onnx -d x.npy --metric rmse", ("m.onnx", "x.npy"), {"metric": "rmse"}),
    (
        "m.onnx -d d.npz --p-bits 2 --prune 0.5",
        ("m.onnx", "d.npz"),
        {"psb": reluflow.PsbOptions(p_bits=2, prune=0.5)},
    ),
]


@pytest.mark.parametrize(("line", "given", "named"), EVALUATIONS, ids=[e[0] for e in EVALUATIONS])
def test_eval_is_evaluate(
    run: Run, line: str, given: tuple[Any, ...], named: dict[str, Any]
) -> None:
    printed = run(f"psb eval {line} --samples 2,8 --seeds 2 --threads 1")
    called = plain(reluflow.evaluate(*given, options=FEW, **named).to_dict())
    findings = [in_options(sentence) for sentence in called["findings"]]
    assert printed == called | {"findings": findings}


def test_a_sampler_that_is_asked_for_is_that_of_the_conversion_too(run: Run) -> None:
    printed = run("psb eval m.onnx -d d.npz --sampler binomial --samples 2 --seeds 2 --threads 1")
    wanted = reluflow.EvaluationOptions(samples=(2,), seeds=2, threads=1, sampler="binomial")
    called = reluflow.evaluate("m.onnx", "d.npz", options=wanted)
    assert printed == plain(called.to_dict())
    assert called.psb.sampler == called.points[0].sampler == "binomial"


def test_layers_alone_and_int8_are_options_of_evaluate(run: Run) -> None:
    more = "--int8 --sensitivity 4 --batch-size 10 --threads 1 --samples 2 --seeds 2"
    printed = run(f"psb eval p.onnx -d d.npz --float m.onnx {more}")
    wanted = reluflow.EvaluationOptions(
        samples=(2,), seeds=2, int8=True, sensitivity=4, batch_size=10, threads=1
    )
    called = reluflow.evaluate("p.onnx", "d.npz", float_model="m.onnx", options=wanted)
    assert printed == plain(called.to_dict())
    assert len(called.sensitivity) == 3 and called.int8_value is not None


def test_who_judges_is_said_in_python_too(run: Run) -> None:
    run("psb eval m.onnx -d x.npy --samples 2 --threads 1")
    called = reluflow.evaluate("m.onnx", "x.npy", options=FEW)
    assert "No labels are given: all is judged by the answers of the float model." in called.notes


def test_what_eval_writes_is_what_evaluate_writes(run: Run) -> None:
    run("psb eval m.onnx -d d.npz --samples 2,8 --seeds 2 --threads 1 --out by_command")
    reluflow.evaluate("m.onnx", "d.npz", None, "by_call", options=FEW)
    for name in ("psb.json", "samples.png"):
        assert Path("by_command", name).read_bytes() == Path("by_call", name).read_bytes()


def test_sensitivity_is_sensitivity(run: Run) -> None:
    rates = [1e-2, 1.0, 1e2]
    settings = "--batches 2 -b 20 --optimizer adamw --loss mse --label-name many"
    printed = run(f"sensitivity m.onnx -d d.npz --rates 1e-2:1e2:3 {settings} --out s1")
    called = reluflow.sensitivity(
        "m.onnx", "d.npz", None, "s2", rates=rates, batches=2, batch_size=20, optimizer="adamw",
        loss="mse", label_name="many",
    )  # fmt: skip
    assert printed == plain(called.to_dict())
    for name in ("sensitivity.json", "sensitivity.png"):
        assert Path("s1", name).read_bytes() == Path("s2", name).read_bytes()


def test_sensitivity_by_crossing_rates_is_sensitivity(run: Run) -> None:
    printed = run("sensitivity m.onnx -d d.npz --rates 1e-2:1e2:3 --method crossing")
    called = reluflow.sensitivity("m.onnx", "d.npz", rates=[1e-2, 1.0, 1e2], method="crossing")
    assert printed == plain(called.to_dict())


def test_edge_is_edge_project(run: Run) -> None:
    printed = run(
        "edge m.onnx -o edge1 --calibrate x.npy --limit 20 --strict --samples 4 --cascade 1/4 "
        "--loss 0.5 --confidence 0.8"
    )
    options = reluflow.EdgeOptions(strict=True, samples=4, cascade=(1, 4), loss=0.5, confidence=0.8)
    called = reluflow.edge_project(
        "m.onnx", "edge2", calibration="x.npy", limit=20, options=options
    )
    assert printed | {"folder": ""} == plain(called.to_dict() | {"folder": ""})
    written = sorted(path.relative_to("edge1") for path in Path("edge1").rglob("*.*"))
    assert len(written) > 10
    for path in filter(lambda p: Path("edge1", p).is_file(), written):
        assert Path("edge1", path).read_bytes() == Path("edge2", path).read_bytes()


def test_analyze_is_analyze(run: Run) -> None:
    printed = run("analyze m.onnx -d d.npz --limit 30 --top 2 --hash thesis-64 -b 7 -t 1")
    options = reluflow.AnalysisOptions(top=2, hash="thesis-64", batch_size=7, threads=1)
    called = reluflow.analyze("m.onnx", "d.npz", options=options, limit=30)
    same_but_time(printed, json.loads(to_json(called)))
    printed = run("analyze m.onnx --random 30 --seed 3")
    called = reluflow.analyze("m.onnx", RandomData(30, 3))
    same_but_time(printed, json.loads(to_json(called)))


@pytest.mark.parametrize("names", [["m.onnx", "later.onnx"], ["m.onnx", "later.onnx", "m.onnx"]])
def test_compare_is_compare(run: Run, names: list[str]) -> None:
    printed = run(f"compare {' '.join(names)} -d x.npy --limit 40 --out report")
    many = len(names) > 2
    called: Any = (
        reluflow.compare_checkpoints(names, "x.npy", limit=40)
        if many
        else reluflow.compare(names[0], names[1], "x.npy", limit=40)
    )
    same_but_time(printed, json.loads(to_json(called)))


@pytest.mark.parametrize("grid", ["", " --raster 9 --batch-statistics"])
def test_cells_is_find_cells(run: Run, grid: str) -> None:
    printed = run(f"cells m.onnx -d x.npy --points 3,1,4 --window=-1,2,-1,2{grid}")
    more: dict[str, Any] = {"raster": 9, "batch_statistics": True} if grid else {}
    bounds = (-1, 2, -1, 2)
    called = reluflow.find_cells("m.onnx", data="x.npy", points=[3, 1, 4], window=bounds, **more)
    assert printed == plain(called.to_dict()) and called.kind == ("raster" if grid else "exact")


def test_cells_of_checkpoints_is_animate_cells(run: Run) -> None:
    printed = run("cells m.onnx later.onnx -d x.npy --window=-1,2,-1,2 --seconds 1")
    called = reluflow.animate_cells(["m.onnx", "later.onnx"], data="x.npy", window=(-1, 2, -1, 2))
    assert printed == plain(called.to_dict())


def test_convert_is_convert(run: Run) -> None:
    arguments = "--p-bits 3 --prune 0.25 --x-bits auto --calibrate x.npy --limit 20"
    printed = run(f"psb convert m.onnx -o c1.onnx {arguments}")
    options = reluflow.PsbOptions(p_bits=3, prune=0.25)
    called = reluflow.convert(
        "m.onnx", "c2.onnx", options=options, calibration="x.npy", limit=20, x_bits="auto"
    )
    assert Path("c1.onnx").read_bytes() == Path("c2.onnx").read_bytes()
    proof = plain(called.to_dict())
    assert printed["activation_bits"] == proof["activation_bits"]
    for step in ("rewrites", "operators", "precision"):
        assert printed["check"][step] == proof[step]


@pytest.mark.parametrize("flags", ["", "--nearest --input-defaults"])
def test_inline_is_inline_psb(run: Run, flags: str) -> None:
    printed = run(f"psb inline p.onnx -o i1.onnx {flags}")
    given = {"nearest": bool(flags), "input_defaults": bool(flags)}
    called = reluflow.inline_psb("p.onnx", "i2.onnx", **given)
    assert Path("i1.onnx").read_bytes() == Path("i2.onnx").read_bytes()
    assert printed == plain(called.to_dict())


@pytest.mark.parametrize("steps", ["usual", "equalise,bias", "feedback", "follow"])
def test_convert_with_tuning_is_convert_with_tuning(run: Run, steps: str) -> None:
    printed = run(f"psb convert m.onnx -o c1.onnx --calibrate x.npy --p-bits 2 --tune {steps}")
    called = reluflow.convert(
        "m.onnx",
        "c2.onnx",
        options=reluflow.PsbOptions(p_bits=2),
        calibration="x.npy",
        tune=steps.split(","),
    )
    assert Path("c1.onnx").read_bytes() == Path("c2.onnx").read_bytes()
    assert called.tuned is not None
    assert printed["tuned"] == plain(asdict(called.tuned))
    assert called.sentences()[0] == str(called.tuned) == called.choices()[0]


@pytest.mark.parametrize("budget", [2, 4])
def test_convert_for_a_budget_is_convert_for_a_budget(run: Run, budget: int) -> None:
    printed = run(f"psb convert m.onnx -o c1.onnx --calibrate x.npy --tune usual --budget {budget}")
    called = reluflow.convert(
        "m.onnx", "c2.onnx", calibration="x.npy", tune=["usual"], budget=budget
    )
    assert Path("c1.onnx").read_bytes() == Path("c2.onnx").read_bytes()
    assert called.allocation is not None
    assert printed["allocation"] == plain(called.allocation.to_dict())
    assert called.choices()[1] == called.allocation.sentence()


def test_what_is_not_compared_says_so(run: Run) -> None:
    assert run("psb convert m.onnx -o c1.onnx --no-check")["check"] is None
    called = reluflow.convert("m.onnx", "c2.onnx", check=False)
    assert Path("c1.onnx").read_bytes() == Path("c2.onnx").read_bytes()
    assert [each.partition(": ")[2] for each in called.sentences()] == [
        "not compared: it was not asked for."
    ] * 3


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(each) for key, each in value.items() if key != "ms"}
    return [without_times(each) for each in value] if isinstance(value, list) else value


def test_a_cascade_is_a_cascade(run: Run) -> None:
    printed = run("psb eval m.onnx -d d.npz --cascade 4/float --unsure margin --loss 0.2 -b 20")
    options = reluflow.CascadeOptions((4, None), measure="margin", loss=0.2, batch_size=20)
    called = reluflow.evaluate_cascade("m.onnx", "d.npz", cascade=options)
    assert without_times(printed) == without_times(plain(called.to_dict()))
    printed = run("psb eval p.onnx -d x.npy --cascade 16/64 --coarse m.onnx --limit 30 --p-bits 2")
    called = reluflow.evaluate_cascade(
        "p.onnx",
        "x.npy",
        cascade="16/64",
        coarse="m.onnx",
        psb=reluflow.PsbOptions(p_bits=2),
        limit=30,
    )
    assert without_times(printed) == without_times(plain(called.to_dict()))


def test_attend_is_attend(run: Run) -> None:
    model, images = SHIPPED / "fashion_dsconv.onnx", SHIPPED / "fashion_mnist_test_2000.npz"
    chosen = "--samples 2/8 --unsure coverage=0.3 --margin 1 --halo 1 --number 5 --seed 2 -t 1"
    printed = run(f"attend {model} --image {images} {chosen} --out a1")
    options = reluflow.RegionOptions("coverage", 0.3, 1, halo=1)
    called = reluflow.attend(
        model, images, "a2", samples="2/8", region=options, number=5, seed=2, threads=1
    )
    plain_call = plain(called.to_dict())
    for each in (printed, plain_call):
        for cost in each["costs"]:
            assert cost.pop("measured_ms") > 0
    assert printed == plain_call
    for name in ("region.png", "errors.png"):
        assert Path("a1", name).read_bytes() == Path("a2", name).read_bytes()


def test_attention_is_attention(run: Run) -> None:
    model, images = SHIPPED / "fashion_dsconv.onnx", SHIPPED / "fashion_mnist_test_2000.npz"
    chosen = "--attention 1,2/8 -b 10 --limit 20 --p-bits 2"
    printed = run(f"psb eval {model} -d {images} {chosen}")
    called = reluflow.evaluate_attention(
        model,
        images,
        attention=reluflow.AttentionOptions((1, 2), (8,), batch_size=10),
        psb=reluflow.PsbOptions(p_bits=2),
        limit=20,
    )
    assert without_times(printed) == without_times(plain(called.to_dict()))


def test_the_looks_are_calls(run: Run) -> None:
    assert run("inspect m.onnx") == plain(reluflow.inspect("m.onnx").to_dict())
    assert run("psb inspect p.onnx") == plain(reluflow.inspect_psb("p.onnx").to_dict())


def test_pages_are_calls(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with PatternRecorder("run") as recorder:
        recorder.record(0, "relu0", {"patterns": 3})
    assert main(["recording", "run"]) == 0
    page = Path("run/recording.html").read_bytes()
    assert reluflow.write_recording_page("run").read_bytes() == page
    assert main(["view", "."]) == 0
    page = Path("index.html").read_bytes()
    path, unread = reluflow.write_index(".")
    assert path.read_bytes() == page and unread == ()


def test_the_demo_is_a_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = tmp_path / "models"
    few.mkdir()
    shipped = Path(__file__).parents[2] / "models"
    held = np.load(shipped / "fashion_mnist_test_2000.npz")
    np.savez(few / "fashion_mnist_test_2000.npz", **{key: held[key][:20] for key in held})
    (few / "fashion_resnet8.onnx").write_bytes((shipped / "fashion_resnet8.onnx").read_bytes())
    out = tmp_path / "by_command"
    assert main(["demo", "--models", str(few), "--out", str(out)]) == 0
    assert "Open file://" in capsys.readouterr().out
    called = reluflow.demo(models=few)
    same_but_time(asdict(read_json(out / "report.json")), asdict(called))

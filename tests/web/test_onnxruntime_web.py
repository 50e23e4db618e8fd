"""Converted models in onnxruntime-web, under Node: with their functions, and inlined.

`npm ci --ignore-scripts` in this folder installs what these tests run in; without it, or without
Node, they are skipped.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from body_models import branches, loop

from reluflow.data import RandomData, open_data
from reluflow.evaluation import calibrate, find_formats
from reluflow.evaluation.calibrate import exponents
from reluflow.evaluation.formats.largest import largest_activations
from reluflow.graph import (
    Model,
    PsbOptions,
    chain_psb,
    chain_psb16,
    inline_psb,
    load,
    to_psb,
    without_input_defaults,
)
from reluflow.sessions import has_library, open_session

HERE = Path(__file__).parent
NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(
    NODE is None or not (HERE / "node_modules" / "onnxruntime-web").is_dir(),
    reason="Node or onnxruntime-web is missing: npm ci --ignore-scripts in tests/web",
)
SECONDS = 300
SAMPLES = (0, 1, 4, 16, 64)
Arrays = dict[str, np.ndarray]


def packed(array: np.ndarray) -> dict[str, Any]:
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"type": str(array.dtype), "dims": list(array.shape), "data": data}


def unpacked(found: dict[str, Any]) -> np.ndarray:
    raw = base64.b64decode(found["data"])
    return np.frombuffer(raw, found["type"]).reshape(found["dims"])


def in_web(model: Model, calls: list[Arrays], folder: Path) -> list[Arrays]:
    """Run a model in onnxruntime-web."""
    (folder / "model.onnx").write_bytes(model.serialize())
    texts = [{name: packed(array) for name, array in call.items()} for call in calls]
    (folder / "calls.json").write_text(json.dumps(texts))
    command = [str(NODE), str(HERE / "run.mjs"), "model.onnx", "calls.json"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["inputs"] == list(calls[0])
    return [{name: unpacked(t) for name, t in result.items()} for result in told["results"]]


def compared(model: Model, x: Arrays, folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return what onnxruntime-web and ONNX Runtime, without the library, make of each call."""
    bare = without_input_defaults(model).model
    calls = [
        x | {"samples": np.array(n, np.int64), "seed": np.array(seed, np.int64)}
        for n in SAMPLES
        for seed in (0, 3)
    ]
    session = open_session(bare, threads=1, library=False)
    pairs = []
    for call, found in zip(calls, in_web(bare, calls, folder), strict=True):
        pairs += list(zip(found.values(), session.run(call), strict=True))
    return pairs


@pytest.fixture(scope="module")
def shipped() -> tuple[Model, Any]:
    model = load("models/fashion_resnet8.onnx")
    data = open_data(RandomData(2, seed=1), model.inputs)
    return to_psb(model, PsbOptions(x_exponents=calibrate(model, data))).model, data


def chained(form: str, psb: Model, data: Any) -> tuple[Model, Any]:
    """Return the network as a chain, and a batch for it."""
    if form == "bytes":
        model = chain_psb(psb, find_formats(psb, data)).model
    else:
        model = chain_psb16(psb, exponents(largest_activations(psb, data), 12)).model
    (x,) = list(data.batches(2))
    return model, x


@pytest.mark.parametrize("form", ["bytes", "int16"])
def test_chains_give_the_same_to_the_last_bit(
    form: str, shipped: tuple[Model, Any], tmp_path: Path
) -> None:
    model, x = chained(form, *shipped)
    pairs = compared(model, x, tmp_path)
    assert len(pairs) == 2 * len(SAMPLES)
    for web, here in pairs:
        assert web.dtype == here.dtype and web.tobytes() == here.tobytes()
    assert len({web.tobytes() for web, _ in pairs}) >= 3  # the number of samples arrives


def test_operators_of_floats_agree_up_to_the_order_of_sums(
    shipped: tuple[Model, Any], tmp_path: Path
) -> None:
    psb, data = shipped
    (x,) = list(data.batches(2))
    for web, here in compared(psb, x, tmp_path):
        assert np.abs(web - here).max() <= 1e-4 * np.abs(here).max()


@pytest.mark.parametrize("sign", [1, -1])
def test_bodies_of_an_if_run_there_too(sign: int, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32) + np.float32(sign)
    for web, here in compared(to_psb(branches()).model, {"x": x}, tmp_path):
        assert np.abs(web - here).max() <= 1e-4 * np.abs(here).max()


# Inlined models draw by the seed, as the native library does.
DRAWN_SAMPLES = (0, 1, 16)
SEEDS = (0, -7, 2**40 + 3)


def inlined(psb: Model, x: Arrays, folder: Path) -> list[tuple[np.ndarray, np.ndarray, int]]:
    """Return what onnxruntime-web makes of the inlined model, what Python does, and samples."""
    made = inline_psb(psb)
    assert not made.refused
    calls = [
        x | {"samples": np.array(n, np.int64), "seed": np.array(seed, np.int64)}
        for n in DRAWN_SAMPLES
        for seed in SEEDS
    ]
    library = has_library()
    session = open_session(psb if library else made.model, threads=1, library=library)
    found = []
    for call, web in zip(calls, in_web(made.model, calls, folder), strict=True):
        here = session.run(call)
        found += [(a, b, int(call["samples"])) for a, b in zip(web.values(), here, strict=True)]
    return found


@pytest.mark.parametrize("name", ["fashion_dsconv", "fashion_scenes"])
def test_inlined_networks_give_the_numbers_of_python(name: str, tmp_path: Path) -> None:
    model = load(f"models/{name}.onnx")
    sizes = {"rows": 32, "columns": 40} if name == "fashion_scenes" else {}
    data = RandomData(1, seed=1, dims=sizes)
    (x,) = list(open_data(data, model.inputs).batches(1))
    found = inlined(to_psb(model).model, x, tmp_path)
    for web, here, _ in found:
        assert web.shape == here.shape
        assert np.abs(web - here).max() <= 1e-5 * np.abs(here).max()
    first = [web.tobytes() for web, _, n in found if n == 0]
    assert len(set(first)) == 1  # nearest mode has no seed
    assert len({web.tobytes() for web, _, n in found if n == 1}) == len(SEEDS)


@pytest.mark.parametrize("form", ["bytes", "int16"])
def test_inlined_chains_give_the_bits_of_the_library(
    form: str, shipped: tuple[Model, Any], tmp_path: Path
) -> None:
    model, x = chained(form, *shipped)
    for web, here, _ in inlined(model, x, tmp_path):
        assert web.dtype == here.dtype and web.tobytes() == here.tobytes()


@pytest.mark.parametrize("make", [branches, loop])
def test_inlined_bodies_of_subgraphs_draw_there_too(make: Any, tmp_path: Path) -> None:
    model = make()
    (x,) = list(open_data(RandomData(3, seed=2), model.inputs).batches(3))
    for web, here, _ in inlined(to_psb(model).model, x, tmp_path):
        assert np.abs(web - here).max() <= 1e-4 * np.abs(here).max()

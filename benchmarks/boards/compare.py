r"""Networks as C for microcontrollers, beside emx-onnx-cgen and onnx2c.

    PYTHONPATH=benchmarks python benchmarks/boards/compare.py --onnx2c ONNX2C \
      --json benchmarks/records/edge.json --page

A classifier of FashionMNIST for 16 KB of RAM and a keyword network, each as `reluflow edge` makes
it (with products, and strict), and as the two other tools do, in floats and in ONNX Runtime's int8;
all C compiled by the same compiler with the same options, for Cortex-M0 and Cortex-M3. Accuracy is
that of the same C on this machine, over all test inputs, at each number of samples. Inputs are also
run by numpy's interpreter, and some on emulated boards: one number that differs ends the program.
RAM is static memory, inputs and outputs included, and the deepest stack that a run reached; flash
is what the program has more than an empty one; instructions are counted in QEMU, and are not time.
Needs arm-none-eabi-gcc, qemu-system-arm, the Python package emx-onnx-cgen, and Debian's
dataset-fashion-mnist. Without `--onnx2c` that tool is left out. `--page` puts the record's tables
into docs/edge.md; with `--only-page` nothing is measured.
A record that is there keeps what `--only` and `--parts` leave out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _support import keep, write
from boards.board import missing_tools
from boards.measure import Net, measure_accuracy, measure_boards
from boards.table import fill_page, ratios
from numpy.typing import NDArray

import reluflow
from reluflow.data import open_data, read_labels

ROOT = Path(__file__).resolve().parents[2]
RECORD, PAGE = ROOT / "benchmarks" / "records" / "edge.json", ROOT / "docs" / "edge.md"
NETS = ("fashion_micro", "keywords_dscnn")
Row = dict[str, Any]
TOOLS = ("reluflow edge", "emx-onnx-cgen", "onnx2c")
ORDER = ("products", "strict", "float", "int8")
PARTS = ("accuracy", "boards")
TEST = 10_000
"""Test images of FashionMNIST."""


def read(model: Path, file: Path, count: int) -> NDArray[np.float32]:
    """Return inputs as a model takes them.

    Args:
        model: with one input.
        file: of images.
        count: of them.
    """
    (spec,) = reluflow.graph.load(model).inputs
    batches = open_data(str(file), [spec], limit=count).batches(500)
    return np.concatenate([batch[spec.name] for batch in batches])


def load(name: str, data: Path, limit: int) -> Net:
    """Return a shipped network with its test inputs.

    Args:
        name: one of `NETS`.
        data: folder of FashionMNIST's files.
        limit: of test inputs; 0: all.
    """
    models = ROOT / "models"
    if name == "keywords_dscnn":
        with np.load(models / "keywords_test.npz") as arrays:
            inputs, labels = arrays["cepstra"], arrays["label"]
        with np.load(models / "keywords_calibration.npz") as arrays:
            calibration = arrays["cepstra"]
    else:
        inputs = read(models / f"{name}.onnx", data / "t10k-images-idx3-ubyte.gz", TEST)
        labels = read_labels(data / "t10k-labels-idx1-ubyte.gz", limit=TEST)
        calibration = read(models / f"{name}.onnx", data / "train-images-idx3-ubyte.gz", 128)
    count = limit or len(inputs)
    return Net(name, models / f"{name}.onnx", inputs[:count], labels[:count], calibration)


def merged(before: list[Row], found: list[Row]) -> list[Row]:
    """Return results with those of an earlier run that were not measured this time.

    Args:
        before: networks of a record.
        found: networks of this run, whole or a part of each.
    """
    rows = {row["network"]: row for row in before}
    for row in found:
        old = rows.get(row["network"], {"forms": []})
        forms = {(form["tool"], form["numbers"]): form for form in old["forms"]}
        for form in row["forms"]:
            key = form["tool"], form["numbers"]
            forms[key] = {**forms.get(key, {}), **form}
        listed = sorted(forms.values(), key=lambda form: ORDER.index(form["numbers"]))
        by_tool = sorted(listed, key=lambda form: TOOLS.index(form["tool"]))
        rows[row["network"]] = {**old, **row, "forms": by_tool}
    return sorted(rows.values(), key=lambda row: NETS.index(row["network"]))


def keep_with_others(path: Path | None, found: list[Row]) -> None:
    """Keep results, and what the file has of networks and parts not measured this time.

    Args:
        path: of the record; None keeps nothing.
        found: of this run.
    """
    if path is None:
        return
    before = json.loads(path.read_text("utf-8")) if path.exists() else None
    keep(path, merged(before["results"] if before else [], found))
    if before:
        record = json.loads(path.read_text("utf-8"))
        commands = [*before["command"].split("; "), record["command"]]
        write(path, {**record, "command": "; ".join(dict.fromkeys(commands))})


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument(
        "--data-dir", type=Path, default=Path("/usr/share/datasets/fashion-mnist"), help="idx.gz"
    )
    parser.add_argument("--onnx2c", help="the tool; left out by default")
    parser.add_argument(
        "--interpret", type=int, default=10_000, help="inputs that numpy's interpreter runs too"
    )
    parser.add_argument("--limit", type=int, default=0, help="test inputs; 0, all, by default")
    parser.add_argument(
        "--emulated",
        type=int,
        default=500,
        help="inputs on a board; strict: a tenth",
    )
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--page", action="store_true", help="fill docs/edge.md")
    parser.add_argument("--only-page", action="store_true", help="from the record as it is")
    return parser.parse_args()


def main() -> None:
    """Measure, keep, and fill the page."""
    options = parse()
    if not options.only_page:
        missing = missing_tools()
        missing += [] if importlib.util.find_spec("emx_onnx_cgen") else ["emx-onnx-cgen"]
        if missing:
            raise SystemExit(f"not installed: {', '.join(missing)}.")
        tool = shutil.which(options.onnx2c) if options.onnx2c else None
        if options.onnx2c and tool is None:
            raise SystemExit(f"--onnx2c is {options.onnx2c!r}, which is no program.")
        with tempfile.TemporaryDirectory() as folder:
            for name in options.only:
                net = load(name, options.data_dir, options.limit)
                place = Path(folder, name)
                place.mkdir()
                if "accuracy" in options.parts:
                    found = [measure_accuracy(net, place, tool, options.interpret)]
                    keep_with_others(options.json, found)
                if "boards" in options.parts:
                    found = [measure_boards(net, place, tool, options.emulated)]
                    keep_with_others(options.json, found)
                    print("\n".join(ratios(found[0])), flush=True)
    if options.page or options.only_page:
        record = json.loads(RECORD.read_text("utf-8"))
        PAGE.write_text(fill_page(PAGE.read_text("utf-8"), record), encoding="utf-8")


if __name__ == "__main__":
    main()

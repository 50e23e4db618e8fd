"""How much rewrites change a network: fold, raise and convert, run before and after.

`equivalence.py --json benchmarks/records/equivalence.json --table docs/equivalence.md`
takes the files of tests/conformance, the shipped models, onnx's light models with random weights,
and the real networks that are available (see networks/real.py).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
from _support import keep
from networks.real import FOLDER, real_networks

from reluflow.errors import ReluflowError
from reluflow.evaluation import Equivalence, compare_models, convert
from reluflow.graph import Model, fold_batchnorm, load, upgrade

ROOT = Path(__file__).resolve().parents[1]
STEPS = ("fold", "raise", "convert", "operators", "precision")
TITLES = {
    "fold": "fold",
    "raise": "raise",
    "convert": "fold and raise",
    "operators": "operators, same weights",
    "precision": "precision",
}


def networks(real: Path, kinds: Collection[str]) -> Iterator[tuple[str, str, Model]]:
    """Yield kind, name and model of the networks of some kinds, one at a time."""
    from networks import light

    for path in sorted((ROOT / "tests" / "conformance" / "files").glob("*.onnx")):
        if "exporters" in kinds:
            yield "exporters", path.stem, load(path)
    for path in sorted((ROOT / "models").glob("*.onnx")):
        if "shipped" in kinds:
            yield "shipped", path.stem, load(path)
    for name, path in light.paths().items() if "light" in kinds else ():
        yield "light", name, load(light.with_random_weights(path))
    for name, path in real_networks(real).items() if "real" in kinds else ():
        yield "real", name, load(path)


def measured(model: Model) -> dict[str, Any]:
    """Return what each rewrite of one network changes."""
    folded = compare_models(model, fold_batchnorm(model).model)
    done = convert(model)
    steps = {
        "fold": folded,
        "raise": _raised(model),
        "convert": done.rewrites,
        "operators": done.operators,
        "precision": done.precision,
    }
    row = {step: _numbers(found) for step, found in steps.items()}
    return {**row, "converted": len(done.result.done.converted), "left": len(done.result.refused)}


def _raised(model: Model) -> Equivalence:
    try:
        return compare_models(model, upgrade(model).model)
    except ReluflowError as error:
        return Equivalence((), 0.0, (), str(error))


def _numbers(found: Equivalence) -> dict[str, Any]:
    return {
        "largest": found.largest,
        "relative": found.relative,
        "accepted": found.accepted if found.accepted < 1e9 else None,
        "holds": found.holds,
        "reason": found.reason,
        "inputs": found.inputs[:1],
    }


def table(results: dict[str, Any]) -> str:
    """Return the page: one row per network, a share of the output's largest value per step."""
    head = ["network", "converted", *(TITLES[step] for step in STEPS)]
    lines = [_PREFACE.format(**results["versions"])]
    for kind in dict.fromkeys(row["kind"] for row in results["networks"]):
        lines += [f"\n## {_KINDS[kind]}\n\n{_TIE}\n", _row(head), _row(["---"] * len(head))]
        for row in (row for row in results["networks"] if row["kind"] == kind):
            cells = [_cell(row.get(step), row.get("error", "")) for step in STEPS]
            total = row.get("converted", 0) + row.get("left", 0)
            lines.append(_row([row["name"], f"{row.get('converted', 0)} of {total}", *cells]))
    return "\n".join(lines) + "\n"


def _cell(found: dict[str, Any] | None, error: str) -> str:
    if found is None:
        return error
    if found["relative"] is None:
        return found["reason"]
    return f"{found['relative']:.1e}" if found["relative"] else "0"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


_TIE = "<!-- record: benchmarks/records/equivalence.json -->"
_KINDS = {
    "exporters": "Files of exporters (`tests/conformance/files`)",
    "shipped": "Shipped models (`models`)",
    "light": "onnx's light models, random weights",
    "real": "Trained networks of public packages",
}
_PREFACE = """# What rewrites change

Every fold, raise and conversion is compared with the model it came from: ONNX's full checker, a
session in ONNX Runtime without graph optimisation, and three random inputs. `reluflow psb convert`
does this before it writes (`--no-check` skips it) and refuses a result with a larger difference
than is accepted.

A cell is the largest difference as a share of the largest value of its output, over all outputs
and inputs.

* *Fold*: batch normalisation folded. *Raise*: opset 13. *Fold and raise*: both, which is what is
  then converted.
* *Operators, same weights*: converted operators with 16-bit activations against floating point
  with the weights that they use at 64 samples, nearest: a wrong operator would show up here.
* *Precision*: the folded model against the converted one with the default options, 64 samples,
  nearest: the cost of coarse weights and activations, for which there is no bound.

Accepted are 0.001 for the first three (2^-5 with float16 or bfloat16; 0.1 where activations are
quantised, since rounding may move them by a whole step) and 0.1 for the fourth. Random inputs are
not what a network was trained on; accuracies are in `docs/psb.md`.

Made by `benchmarks/equivalence.py` with onnx {onnx} and ONNX Runtime {onnxruntime}; the record is
`benchmarks/records/equivalence.json`."""


def main() -> int:
    """Measure all networks, keep record and table; 1 where a comparison does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--table", type=Path, help="write the page to this file")
    parser.add_argument("--real", type=Path, default=FOLDER, help="folder of real networks")
    parser.add_argument("--kinds", nargs="+", default=list(_KINDS), choices=list(_KINDS))
    parser.add_argument(
        "--new", action="store_true", help="run what the record of --json lacks, and keep its rows"
    )
    parser.add_argument("--again", type=Path, help="make the page from this record, run nothing")
    given = parser.parse_args()
    if given.again:
        results = json.loads(given.again.read_text(encoding="utf-8"))["results"]
    else:
        versions = {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}
        kept = json.loads(given.json.read_text(encoding="utf-8"))["results"] if given.new else {}
        rows = kept.get("networks", [])
        done = {(row["kind"], row["name"]) for row in rows}
        rows += _all(given.real, given.kinds, done)
        rows.sort(key=_place)
        results = {"versions": versions, "networks": rows}
        keep(given.json, results)
    if given.table:
        given.table.write_text(table(results), encoding="utf-8")
    return int(any("error" in row for row in results["networks"]))


def _place(row: dict[str, Any]) -> tuple[int, str]:
    """Return where a row stands: exporters' files in the order of their names, others as run."""
    kind = row["kind"]
    return list(_KINDS).index(kind), f"{row['name']}.onnx" if kind == "exporters" else ""


def _all(
    real: Path, kinds: list[str], done: Collection[tuple[str, str]]
) -> Iterator[dict[str, Any]]:
    for kind, name, model in networks(real, kinds):
        if (kind, name) in done:
            continue
        started = time.perf_counter()
        try:
            row = {"kind": kind, "name": name, **measured(model)}
        except ReluflowError as error:
            row = {"kind": kind, "name": name, "error": str(error)}
        print(kind, name, f"{time.perf_counter() - started:.1f} s", row.get("error", ""))
        sys.stdout.flush()
        yield row


if __name__ == "__main__":
    sys.exit(main())

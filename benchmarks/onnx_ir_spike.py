"""The tap written on onnx_ir against ours: memory, time, lines, and what else changes in a file.

onnx_ir is not a dependency: run `pip install onnx_ir` first. Each run is a process of its own; time
is that of load, tap and save, memory is the growth of the peak, both without imports.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import onnx
from _support import arguments, keep
from onnx import ModelProto
from other_ir.models import carriers, huge

HERE = Path(__file__).resolve()
GRAPH = HERE.parents[1] / "toolkit" / "reluflow" / "graph"
FILES = sorted((HERE.parents[1] / "tests" / "conformance" / "files").glob("*.onnx"))
REPLACED = (
    *("proto/copy.py", "proto/external.py", "proto/inline.py", "proto/save.py"),
    *("proto/skeleton.py", "view/index.py", "view/nesting.py", "view/structure.py"),
)
"""Files for whose purpose onnx_ir has something, at least in part."""
FIELDS = ("node", "initializer", "value_info", "input", "doc_string", "metadata_props")


def tap_by_ours(source: Path, target: Path) -> dict[str, int]:
    """Do the same with reluflow: sites that are a Relu."""
    from reluflow.graph import find_sites, load, tap

    model = load(source)
    sites = [site for site in find_sites(model) if site.op == "Relu"]
    result = tap(model, sites)
    result.model.save(target)
    tensors = {site.name: site.tensor for site in sites}
    refused = len({tensors[each.node] for each in result.refused})
    return {"tapped": len({one.output for one in result.done}), "refused": refused}


def child(way: str, pairs: list[tuple[str, str]]) -> None:
    """Tap (source, target) pairs one way; print a line of JSON for each."""
    from other_ir.tap import tap

    import reluflow.graph.taps.tap  # noqa: F401  imports stay out of time and memory

    todo = {"onnx_ir": tap, "reluflow": tap_by_ours}[way]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for source, target in pairs:
        found: dict[str, Any] = {}
        start = time.perf_counter()
        try:
            found.update(todo(Path(source), Path(target)))
        except Exception as error:  # a file that cannot be read is a result too
            cause: BaseException = error
            while cause.__cause__ is not None:
                cause = cause.__cause__
            found["error"] = f"{type(cause).__name__}: {cause}".splitlines()[0]
        found["seconds"] = time.perf_counter() - start
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(json.dumps({**found, "growth_bytes": grown * 1024}), flush=True)


def run(way: str, pairs: list[tuple[Path, Path]]) -> list[dict[str, Any]]:
    listed = json.dumps([[str(path) for path in pair] for pair in pairs])
    command = [sys.executable, str(HERE), "--child", way, listed]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def on_huge(folder: Path, way: str, rounds: int) -> dict[str, Any]:
    """Tap the model of 3 GB next to its data: nothing has to be copied."""
    source, target = folder / "huge.onnx", folder / f"{way}.onnx"
    rows = [row for _ in range(rounds) for row in run(way, [(source, target)])]
    seconds = statistics.median(row.pop("seconds") for row in rows)
    return {**max(rows, key=lambda row: row["growth_bytes"]), "median_seconds": seconds}


def parts(model: ModelProto) -> dict[str, list[bytes]]:
    """Return what a tap leaves alone, serialised piece by piece."""
    whole = {field: getattr(model.graph, field) for field in FIELDS}
    whole |= {"functions": model.functions, "opset_import": model.opset_import}
    whole["model_metadata"] = model.metadata_props
    return {
        field: [value.encode()]
        if isinstance(value, str)
        else [piece.SerializeToString(deterministic=True) for piece in value]
        for field, value in whole.items()
    }


def without_empty(message: Any) -> Any:
    """Remove from a message, in place, strings that are set but empty; they mean nothing."""
    for field, value in list(message.ListFields()):
        if field.type == field.TYPE_STRING and isinstance(value, str) and not value:
            message.ClearField(field.name)
        elif field.type == field.TYPE_MESSAGE:
            for inner in [value] if hasattr(value, "ListFields") else value:
                without_empty(inner)
    return message


def kept(source: Path, target: Path, bits: bool) -> dict[str, bool]:
    """Tell which fields start with all their old pieces, in order; bit for bit or in meaning."""
    models = [onnx.load(path, load_external_data=False) for path in (source, target)]
    old, new = (parts(model if bits else without_empty(model)) for model in models)
    return {field: new[field][: len(pieces)] == pieces for field, pieces in old.items()}


def runs(path: Path) -> bool:
    """Tell whether ONNX's checker and ONNX Runtime accept a model."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        onnx.checker.check_model(str(path))
        ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception:
        return False
    return True


def on_files(folder: Path, way: str) -> dict[str, Any]:
    """Tap the conformance files; count what is kept, and in how many files."""
    pairs = [(path, folder / f"{way}-{path.name}") for path in FILES]
    rows = run(way, pairs)
    done = [pair for pair, row in zip(pairs, rows, strict=True) if "error" not in row]
    same: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for source, target in done:
        for bits, count in same.items():
            count.update(name for name, is_kept in kept(source, target, bits).items() if is_kept)
    return {
        "files": len(pairs),
        "seconds": sum(row["seconds"] for row in rows),
        "tapped": sum(row.get("tapped", 0) for row in rows),
        "refused": sum(row.get("refused", 0) for row in rows),
        "saved": len(done),
        "accepted_of_saved": sum(runs(target) for _, target in done),
        "files_with_field_kept_bit_for_bit": dict(same[True]),
        "files_with_field_kept_but_for_empty_texts": dict(same[False]),
        "errors": {p[0].name: r["error"] for p, r in zip(pairs, rows, strict=True) if "error" in r},
    }


def on_carriers(folder: Path, way: str) -> dict[str, str]:
    """Tell for each thing to be kept whether it is in the saved model."""
    cases = list(carriers(folder))
    pairs = [(folder / f"c{n}.onnx", folder / f"{way}-c{n}.onnx") for n in range(len(cases))]
    for (source, _), case in zip(pairs, cases, strict=True):
        source.write_bytes(case.model.SerializeToString())
    verdicts = {}
    for (_, target), case, row in zip(pairs, cases, run(way, pairs), strict=True):
        verdicts[case.name] = row.get("error") or (
            "kept"
            if case.read(onnx.load(target, load_external_data=False)) == case.read(case.model)
            else "lost"
        )
    return verdicts


def lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def main() -> None:
    if importlib.util.find_spec("onnx_ir") is None:
        sys.exit("onnx_ir is not installed; run pip install onnx_ir and start again.")
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], json.loads(sys.argv[3]))
        return
    options = arguments(str(__doc__).splitlines()[0], rounds=5)
    results: dict[str, Any] = {
        "onnx_ir": importlib.metadata.version("onnx_ir"),
        "onnx": importlib.metadata.version("onnx"),
        "lines_of_the_spike": lines(HERE.parent / "other_ir" / "tap.py"),
        "lines_of_ours": {"taps/tap.py": lines(GRAPH / "taps" / "tap.py")},
        "lines_replaced_in_part": {name: lines(GRAPH / name) for name in REPLACED},
    }
    results["sum_of_lines_replaced_in_part"] = sum(results["lines_replaced_in_part"].values())
    results["lines_of_graph"] = sum(map(lines, GRAPH.rglob("*.py")))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        huge(folder)
        for way in ("onnx_ir", "reluflow"):
            results[f"by {way}"] = {
                "huge": on_huge(folder, way, options.rounds),
                "conformance": on_files(folder, way),
                "carriers": on_carriers(folder, way),
            }
    print(json.dumps(results, indent=1))
    keep(options.json, results)


if __name__ == "__main__":
    main()

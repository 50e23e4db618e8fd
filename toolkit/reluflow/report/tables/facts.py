"""What was run on which data, as rows of label and text, for the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reluflow.analysis.results.result import ModelDescription, RunDescription
from reluflow.data import DataDescription
from reluflow.report.tables.format import count, duration, percent, plain, size
from reluflow.report.tables.measures import share

Facts = list[tuple[str, str]]
_HASHES = {
    "random-words-128": "128-bit fingerprint of random words, counted exactly",
    "thesis-64": "64-bit hash of the thesis, fixed table",
}
_WORTH_A_STAGE = 0.005
"""Share of the time from which on a stage's bar is a pixel wide and more."""
_COLORS = ("blue", "orange", "green", "pink", "sky", "red")


@dataclass(frozen=True, slots=True)
class Stage:
    """One part of the stacked bar of timings."""

    name: str
    text: str
    percent: float
    color: str


def file_name(model: ModelDescription) -> str:
    """Return the last part of the model's path."""
    return plain(model.path.replace("\\", "/").rsplit("/", 1)[-1] or model.path)


def model_facts(model: ModelDescription) -> Facts:
    """Return the facts of a model."""
    opset = ", ".join(f"{domain or 'ai.onnx'} {v}" for domain, v in sorted(model.opset.items()))
    return [
        ("File", plain(model.path)),
        ("SHA-256", plain(model.sha256)),
        ("Producer", plain(model.producer) or "not stated"),
        ("ONNX", f"IR version {model.ir_version}, opset {plain(opset)}"),
        ("Nodes", count(model.n_nodes)),
        ("Parameters", count(model.n_parameters)),
        ("Size", size(model.size_bytes)),
        *((f"Input “{plain(name)}”", plain(kind)) for name, kind in model.inputs.items()),
    ]


def data_facts(data: DataDescription, n_inputs: int) -> Facts:
    """Return the facts of the data."""
    held = "" if data.n_samples is None else f" of {count(data.n_samples)}"
    steps = [(f"Preprocessing: {plain(k)}", _value(v)) for k, v in data.preprocessing.items()]
    return [
        ("Source", plain(data.source)),
        ("Kind", plain(data.kind)),
        ("Inputs run", f"{count(n_inputs)}{held}"),
        *((f"Input “{plain(name)}”", plain(kind)) for name, kind in data.inputs.items()),
        *(steps or [("Preprocessing", "none")]),
        *([("Fingerprint", plain(data.fingerprint))] if data.fingerprint else []),
    ]


def hash_facts(hash_: Mapping[str, Any]) -> Facts:
    """Return how patterns were identified."""
    kind = str(hash_.get("kind", ""))
    rest = [
        (key.replace("_", " ").capitalize(), _value(v)) for key, v in hash_.items() if key != "kind"
    ]
    return [("Pattern hash", plain(_HASHES.get(kind, kind))), *rest]


def run_facts(run: RunDescription) -> Facts:
    """Return how it was run."""
    return [
        ("Started", when(run.started)),
        ("Total time", duration(run.seconds.get("total", sum(run.seconds.values())))),
        ("Batch size", count(run.batch_size)),
        ("Threads", count(run.threads)),
        ("Peak memory", size(run.peak_memory_bytes)),
        ("Machine", plain(run.machine)),
        ("Versions", ", ".join(f"{plain(k)} {plain(v)}" for k, v in run.versions.items())),
    ]


def stages(run: RunDescription) -> list[Stage]:
    """Return the stages of the run in order, and what the total holds beyond them."""
    parts = {name: s for name, s in run.seconds.items() if name != "total" and s > 0}
    rest = run.seconds.get("total", 0.0) - sum(parts.values())
    whole = sum(parts.values()) + max(0.0, rest)
    if rest > _WORTH_A_STAGE * whole:
        parts["other"] = rest
    result = []
    for i, (name, seconds) in enumerate(parts.items()):
        color = "grey" if name == "other" else _COLORS[i % len(_COLORS)]
        part = share(seconds, whole)
        text = f"{duration(seconds)}, {percent(part)}"
        result.append(Stage(plain(name), text, round(part * 100, 3), color))
    return result


def when(started: str) -> str:
    """Return a local time in readable form; unchanged where it is not a time."""
    try:
        time = datetime.fromisoformat(started)
    except ValueError:
        return plain(started)
    return f"{time.day} {time:%B %Y, %H:%M}"


def _value(value: Any) -> str:
    """Return a setting: floats short, lists with commas."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(_value(item) for item in value)
    return plain(str(value))

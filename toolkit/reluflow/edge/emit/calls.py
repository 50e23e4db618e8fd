"""The calls of all steps, those of a group in a function of their own."""

from __future__ import annotations

from reluflow.edge.bands import RowGroup, row_bytes, row_reaches
from reluflow.edge.emit.emission import Emission
from reluflow.edge.emit.steps import emit_step, kept_weights, window_fields
from reluflow.edge.emit.writer import safe
from reluflow.edge.program import ConvStep, EdgeStep, PoolStep

_WHOLE = "RELUFLOW_WHOLE"
_STAGE_BYTES = 24


def emit_calls(emission: Emission) -> tuple[list[str], list[str]]:
    """Write the constants of all steps; return what a run calls, and functions of groups.

    Args:
        emission: of the program.
    """
    calls: list[str] = []
    functions: list[str] = []
    for k in range(len(emission.program.steps)):
        group = emission.plan.group_of(k)
        if group is None:
            emitted = emit_step(emission, k)
            calls += [_comment(emission, k), *emitted] if emitted else []
        elif group.first == k:
            name = f"rows{k}"
            functions += _function(emission, group, name)
            calls += [f"/* {group.end - k} layers, a few rows at a time. */"]
            calls += [f"{name}(memory, draws);"]
    return calls, functions


def _comment(emission: Emission, k: int) -> str:
    step = emission.program.steps[k]
    shape = "x".join(map(str, emission.program.tensors[step.makes].shape[1:]))
    return f"/* {safe(f'{step.op} {step.name}: {shape}')} */"


def _function(emission: Emission, group: RowGroup, name: str) -> list[str]:
    """Write the rounds of a group."""
    steps = range(group.first, group.end)
    parts = [
        f"{{{group.dropped[k][r]}, {group.made[k][r]}}}" for r in range(group.rounds) for k in steps
    ]
    table = emission.writer.array("reluflow_part", f"parts{group.first}", "descriptors", parts)
    lines = [
        f"static void {name}({emission.name}_memory *memory, const reluflow_draws *draws) {{",
        f"  const reluflow_part *part = {table};",
        "  reluflow_band band;",
        "  unsigned left;",
    ]
    body: list[str] = []
    begin = [f"reluflow_begin_rows(memory->held, {len(steps)});"]
    for k in steps:
        calls = emit_step(emission, k)
        if k in emission.plan.kept:
            to = kept_weights(emission.plan.kept[k])
            begin.append(f"reluflow_draw_weights(&conv{k}, draws, {to});")
        y = emission.at(emission.program.steps[k].makes)
        body += [_comment(emission, k), f"if (reluflow_next_rows({_stage(emission, group, k)},"]
        body += [f"                       part++, memory->held, {y}, &band)) {{"]
        body += [*(f"  {call}" for call in calls), "}"]
    if not any(isinstance(emission.program.steps[k], ConvStep) for k in steps):
        lines.append("  (void)draws;")
    lines += [f"  {line}" for line in begin]
    lines += [f"  for (left = {group.rounds}; left != 0; left--) {{"]
    return [*lines, *(f"    {line}" for line in body), "  }", "}"]


def _stage(emission: Emission, group: RowGroup, k: int) -> str:
    """Write how a step of a group makes rows."""
    program, step = emission.program, emission.program.steps[k]
    reaches = row_reaches(program, step)
    assert reaches is not None  # or else it would be in no group
    x = step.reads[0]
    added = step.reads[1] if len(step.reads) > 1 else None
    fields = {
        "x_row": row_bytes(program, x),
        "z_row": row_bytes(program, added) if added is not None else 0,
        "y_row": row_bytes(program, step.makes),
        "first": _first(emission, step),
        "first_row": -reaches[0].begin,
        "row_stride": reaches[0].stride,
        "x": _place(emission, group, x),
        "z": _place(emission, group, added),
        "y": _place(emission, group, step.makes),
    }
    return emission.writer.struct("reluflow_stage", f"stage{k}", fields, _STAGE_BYTES)


def _first(emission: Emission, step: EdgeStep) -> int:
    """Return the offset from the beginning of a row to the first tap in it."""
    if not isinstance(step, ConvStep | PoolStep):
        return 0
    x = emission.program.tensors[step.reads[0]]
    window, _ = window_fields(x, step.window, x.shape[-1], upright=True)
    return int(window["first_column"]) * x.shape[-1]


def _place(emission: Emission, group: RowGroup, name: str | None) -> str:
    """Return where a run notes which rows of a tensor are there; all of them where nowhere."""
    for k in range(group.first, group.end):
        if emission.program.steps[k].makes == name:
            return str(2 * (k - group.first))
    return _WHOLE

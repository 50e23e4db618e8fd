"""A converted model becomes an integer program; what has no kernel is named, all of it at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from reluflow.data import InputSpec
from reluflow.edge.constants import fold
from reluflow.edge.lowering.bytes import BYTE_RULES
from reluflow.edge.lowering.ends import END_RULES
from reluflow.edge.lowering.moves import MOVE_RULES
from reluflow.edge.lowering.pixels import PREPARES, begin_pixels, prepare
from reluflow.edge.lowering.products import PRODUCT_RULES
from reluflow.edge.lowering.state import Cannot, Lowering
from reluflow.edge.program import EdgeProgram, EdgeStep
from reluflow.errors import ModelError
from reluflow.graph import Model, Operation, find_psb, psb_inputs, read_program

_Rule = Callable[[Lowering, Operation], None]
_RULES: dict[str, _Rule] = {**PRODUCT_RULES, **BYTE_RULES, **MOVE_RULES, **END_RULES}
_COUNTING = ("Mul", "Div", "Clip", "Min", "Max", "Cast", "Identity")
"""Operators by which an operator's own number of samples follows from that of the run."""
_TAKE_FILLED = ("FixedConv", "FromFixedConv")
_SHOWN = 12
_PIXELS = "pixels=255 (a float is a pixel / 255) or pixels=1"


def lower(
    model: Model, reasons: Mapping[str, str] | None = None, pixels: float | None = None
) -> EdgeProgram:
    """Return the integer program of a model whose whole graph passes bytes.

    Args:
        model: a converted model with chains of bytes (`psb convert --x-bits 8 --calibrate`).
        reasons: node -> why it is not in a chain, for the sentence that refuses it.
        pixels: the float inputs are pixels from 0 to 255 divided by this number: the program takes
            the pixels. Inputs of uint8 are pixels anyhow.

    Raises:
        ModelError: the model has no chain, its sizes are not fixed, or it has operators without a
            kernel; all of them are named.

    Example:
        >>> import reluflow
        >>> made = reluflow.convert(
        ...     "models/fashion_convnet8.onnx", check=False, x_bits=8, limit=8,
        ...     calibration="models/fashion_mnist_test_2000.npz")
        >>> program = lower(made.model)
        >>> [step.op for step in program.steps][-2:], program.tensors["logits"].shape
        (['Reshape', 'FromFixedMatMul'], (1, 10))
        >>> program.shift_adds(16) == 16 * program.shift_adds(1)
        True

    Reference: docs/edge.md.
    """
    program = read_program(model, own=True)
    nodes = {node.output: node for node in find_psb(model)}
    if not nodes:
        raise ModelError(
            f"model {str(model.path or '<memory>')!r} has no PSB operator; give calibration=DATA, "
            "with which it is converted first."
        )
    counts = psb_inputs(model)
    _check_sizes([spec for spec in model.inputs if spec.name not in counts])
    constants = {k: v for k, v in program.constants.items() if k not in counts}
    state = Lowering(model.inputs, constants, counts, nodes, program.opset)
    state.divisor = pixels
    begin_pixels(state, pixels)
    refused: dict[str, str] = {}
    for operation in program.operations:
        _lower_one(state, operation, refused, reasons or {})
    if refused:
        raise ModelError(_unsupported(refused))
    missing = [name for name in program.outputs if name not in state.tensors]
    if missing:
        raise ModelError(
            f"output {missing[0]!r} of the model is no result of its chain of bytes; give a model "
            "whose outputs depend on its inputs."
        )
    found = EdgeProgram(state.tensors, tuple(state.steps), tuple(state.inputs), program.outputs)
    return _alive(found)


def _lower_one(
    state: Lowering, operation: Operation, refused: dict[str, str], reasons: Mapping[str, str]
) -> None:
    """Lower one operator, or say why not."""
    names = [name for name in operation.inputs if name]
    if any(name in state.lost for name in names):
        state.lost.update(operation.outputs)  # what makes its input was refused already
        return
    if operation.op in _COUNTING and any(name in state.counts for name in names):
        state.counts.update(operation.outputs)  # the number of samples of some operators
        return
    if operation.op == "Shape" and names[0] in state.shapes:
        state.constants[operation.outputs[0]] = np.array(state.shapes[names[0]], np.int64)
        return
    if operation.op not in PRODUCT_RULES and all(name in state.constants for name in names):
        values = [state.constants[name] if name else None for name in operation.inputs]
        made = fold(operation.op, values, operation.attributes)
        if made is not None:
            state.constants[operation.outputs[0]] = made
            return
    if operation.op != "ToFixed" and any(name in state.pixels for name in names):
        _try(prepare, state, operation, refused)
        return
    rule = _RULES.get(operation.op)
    floats = operation.op != "ToFixed" and not state.floats.isdisjoint(names)
    reason = ""
    if rule is None or floats:
        reason = reasons.get(operation.name) or _why(operation)
        if floats and operation.op in PREPARES:
            reason = f"it computes a float input; where that holds pixels give {_PIXELS}"
    elif operation.op not in _TAKE_FILLED and not state.filled.isdisjoint(names):
        reason = "it reads channels that fill up quads"
    else:
        _try(rule, state, operation, refused)
        return
    if reason:
        _refuse(state, operation, refused, reason)


def _try(rule: _Rule, state: Lowering, operation: Operation, refused: dict[str, str]) -> None:
    try:
        rule(state, operation)
    except Cannot as cannot:
        _refuse(state, operation, refused, str(cannot))


def _refuse(state: Lowering, operation: Operation, refused: dict[str, str], reason: str) -> None:
    refused[f"{operation.name} ({operation.op})"] = reason
    state.lost.update(operation.outputs)


def _why(operation: Operation) -> str:
    """Return why an operator has no rule."""
    if operation.op.endswith("16"):
        return "it passes int16: convert the float model with 8 bits per activation"
    return "it works in floating point"


def _check_sizes(inputs: Sequence[InputSpec]) -> None:
    """Refuse inputs whose sizes, but for the number of inputs at once, are not fixed."""
    for spec in inputs:
        sizes = () if spec.shape is None else spec.shape[1:]
        if spec.shape is None or not all(isinstance(size, int) for size in sizes):
            raise ModelError(
                f"input {spec.name!r} of the model is {spec}, but memory is planned for fixed "
                "sizes; give a model with whole numbers in their place."
            )


def _unsupported(refused: Mapping[str, str]) -> str:
    listed = [f"{name}: {reason}" for name, reason in refused.items()]
    more = f"; and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    noun = "an operator" if len(listed) == 1 else f"{len(listed)} operators"
    return (
        f"the model has {noun} that edge code does not compute ({'; '.join(listed[:_SHOWN])}"
        f"{more}); leave them to the host by cutting the model there, or replace them by operators "
        "of docs/edge.md."
    )


def _alive(program: EdgeProgram) -> EdgeProgram:
    """Return a program without steps whose tensors nobody reads."""
    wanted = {*program.outputs, *(each.tensor for each in program.inputs)}
    steps: list[EdgeStep] = []
    for step in reversed(program.steps):
        if step.makes in wanted:
            wanted.update(step.reads)
            steps.append(step)
    tensors = {name: tensor for name, tensor in program.tensors.items() if name in wanted}
    return replace(program, steps=tuple(steps[::-1]), tensors=tensors)

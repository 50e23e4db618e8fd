"""The walk of a network over a polygon: operator by operator, columns in, columns out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.cells.lowering.columns import Columns, Floats, Value, refuse
from reluflow.cells.lowering.constants import fold
from reluflow.cells.lowering.linear import apply_linear
from reluflow.cells.lowering.pieces import PIECES, apply_pieces, decide_class
from reluflow.cells.lowering.region import Region, TooManyError, Tracker, assemble
from reluflow.errors import ModelError
from reluflow.graph import Operation, Program

DECISION = "(decision)"
"""Name of the switch that the greatest output is."""
_TAILS = frozenset({"Softmax", "LogSoftmax", "ArgMax", "Sigmoid", "Softplus", "Tanh"})


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """What of a program is walked.

    Attributes:
        steps: operators, in order.
        constants: by name.
        input: name of the input that the plane is of.
        output: the tensor whose maps are wanted; None: the walk ends with its last switch.
        notes: what is left out, in sentences.
    """

    steps: tuple[Operation, ...]
    constants: Mapping[str, NDArray[np.generic]]
    input: str
    output: str | None
    notes: tuple[str, ...] = ()


def cut_network(program: Program, last: str | None) -> Network:
    """Return the part of a program that exact cells walk.

    Args:
        program: the whole model.
        last: name of the last switch wanted; None: the model's first output is wanted.
    """
    notes: list[str] = []
    output: str | None = None
    if last is not None:
        [end] = [step for step in program.operations if step.name == last]
        wanted = {end.outputs[0]}
    else:
        output = _before_tail(program, program.outputs[0], notes)
        wanted = {output}
    steps = []
    for step in reversed(program.operations):
        if wanted & set(step.outputs):
            steps.append(step)
            wanted |= {name for name in step.inputs if name}
    return Network(
        tuple(reversed(steps)), program.constants, program.inputs[0], output, tuple(notes)
    )


def _before_tail(program: Program, output: str, notes: list[str]) -> str:
    """Go back from an output over functions that are not piecewise linear."""
    makers = {name: step for step in program.operations for name in step.outputs}
    while output in makers and makers[output].op in _TAILS:
        step = makers[output]
        notes.append(
            f"the maps are those of {step.inputs[0]!r}, before {step.op} {step.name!r}, "
            "which is not piecewise linear"
        )
        output = step.inputs[0]
    return output


@dataclass(slots=True, eq=False)
class Walk:
    """The result of one walk.

    Attributes:
        region: the small network; None where more units were left than wanted.
        tracker: the switches met, complete unless `region` is None.
    """

    region: Region | None
    tracker: Tracker


@dataclass(frozen=True, slots=True, eq=False)
class Walker:
    """Walks one network on one plane.

    Attributes:
        network: the network.
        frame: `(3, ...)` the input: what one of each of s, t and 1 adds to it.
        classes: whether the greatest output is a switch too.
    """

    network: Network
    frame: Floats
    classes: bool = False
    _uses: dict[str, int] = field(default_factory=dict)
    _wide: dict[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for step_number, step in enumerate(self.network.steps):
            for name in step.inputs:
                self._uses[name] = step_number

    @property
    def is_deep(self) -> bool:
        """Whether a second switch follows the first."""
        return sum(step.op in PIECES for step in self.network.steps) + self.classes > 1

    def walk(self, corners: Floats, most: int, edges: NDArray[np.int64] | None = None) -> Walk:
        """Return what is left of the network on a polygon.

        Args:
            corners: `(n, 2)` of the polygon, coordinates within [-1, 1].
            most: give up beyond this many groups.
            edges: labels of the units that are 0 on its edges, which their signs are known by.
        """
        own = np.zeros(0, np.int64) if edges is None else edges
        tracker = Tracker(corners, most, own)
        values: dict[str, Value] = {self.network.input: Columns(self.frame)}
        try:
            with np.errstate(all="ignore"):  # a switch refuses what is not finite
                for number, step in enumerate(self.network.steps):
                    self._run(step, values, tracker)
                    for name in step.inputs:
                        if self._uses.get(name) == number and name != self.network.output:
                            values.pop(name, None)
                out = self._outputs(values, tracker)
        except TooManyError:
            return Walk(None, tracker)
        return Walk(assemble(tracker, out), tracker)

    def _run(self, step: Operation, values: dict[str, Value], tracker: Tracker) -> None:
        operands = [self._operand(step, name, values) for name in step.inputs]
        if any(isinstance(operand, Columns) for operand in operands):
            operands = [self._widened(*pair) for pair in zip(step.inputs, operands, strict=True)]
        try:
            values[step.outputs[0]] = _applied(step, operands, tracker)
        except KeyError as error:
            raise refuse(step, f"it has no attribute {error}") from error
        except (ValueError, IndexError, TypeError, ArithmeticError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise refuse(step, f"its inputs do not fit each other ({reason})") from error

    def _operand(self, step: Operation, name: str, values: Mapping[str, Value]) -> Any:
        if not name:
            return None
        if name in values:
            return values[name]
        if name in self.network.constants:
            if self.network.constants[name].dtype.kind == "c":
                raise refuse(step, "it reads complex numbers")
            return self.network.constants[name]
        raise refuse(step, f"it reads {name!r}, which no operator makes that is followed")

    def _widened(self, name: str, operand: Any) -> Any:
        """Return a weight as float64, made once."""
        if name not in self.network.constants or operand.dtype not in (np.float32, np.float16):
            return operand
        if name not in self._wide:
            self._wide[name] = operand.astype(np.float64)
        return self._wide[name]

    def _outputs(self, values: Mapping[str, Value], tracker: Tracker) -> Floats | None:
        if self.network.output is None:
            return None
        out = values.get(self.network.output)
        if not isinstance(out, Columns):
            raise ModelError(
                f"the output {self.network.output!r} does not depend on the input, so that there "
                "are no maps of it; give a model whose first output does."
            )
        if self.classes:
            decide_class(out, tracker, DECISION)
        return out.array.reshape(len(out.array), -1)


def _applied(step: Operation, operands: list[Any], tracker: Tracker) -> Value:
    if step.op == "Shape" and isinstance(operands[0], Columns):
        return np.asarray(operands[0].shape, np.int64)
    if not any(isinstance(operand, Columns) for operand in operands):
        return fold(step, operands)
    if step.op in PIECES:
        return apply_pieces(step, operands, tracker)
    return apply_linear(step, operands)

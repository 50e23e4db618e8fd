"""What steps are written with."""

from __future__ import annotations

from dataclasses import dataclass

from reluflow.edge.emit.writer import CWriter
from reluflow.edge.plan import MemoryPlan
from reluflow.edge.program import EdgeProgram


@dataclass(frozen=True)
class Emission:
    """What steps are written with.

    Attributes:
        program: the steps.
        plan: where tensors lie.
        writer: of the constants.
        name: of the library.
    """

    program: EdgeProgram
    plan: MemoryPlan
    writer: CWriter
    name: str

    def at(self, name: str) -> str:
        """Return a tensor as C has it: a place in the memory, or a constant."""
        tensor = self.program.tensors[name]
        if tensor.value is not None:
            return self.writer.bytes(f"constant{self._number(name)}", "constants", tensor.value)
        offset = self.plan.offsets[name]
        return f"memory->{'arena' if tensor.is_bytes else 'words'} + {offset}"

    def _number(self, name: str) -> int:
        return list(self.program.tensors).index(name)

    def banded(self, k: int) -> bool:
        """Tell whether a step makes a few rows at a time.

        Args:
            k: place of the step.
        """
        return self.plan.group_of(k) is not None

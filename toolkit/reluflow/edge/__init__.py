"""C for microcontrollers: a model that passes bytes becomes an integer program, then C99."""

from reluflow.edge.cost import EdgeCost, StepCost
from reluflow.edge.lower import lower
from reluflow.edge.options import EdgeOptions
from reluflow.edge.program import EdgeInput, EdgeProgram, EdgeStep, EdgeTensor
from reluflow.edge.project import EdgeProject, write_project
from reluflow.edge.run import run

__all__ = [
    "EdgeCost",
    "EdgeInput",
    "EdgeOptions",
    "EdgeProgram",
    "EdgeProject",
    "EdgeStep",
    "EdgeTensor",
    "StepCost",
    "lower",
    "run",
    "write_project",
]

"""C for microcontrollers: a model that passes bytes becomes an integer program, then C99."""

from reluflow.edge.cascade import EdgeCascade, choose_cascade, run_cascade
from reluflow.edge.lower import lower
from reluflow.edge.options import EdgeOptions
from reluflow.edge.program import EdgeProgram
from reluflow.edge.project import EdgeProject, write_project
from reluflow.edge.run import run

__all__ = [
    "EdgeCascade",
    "EdgeOptions",
    "EdgeProgram",
    "EdgeProject",
    "choose_cascade",
    "lower",
    "run",
    "run_cascade",
    "write_project",
]

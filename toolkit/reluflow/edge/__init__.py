"""C for microcontrollers: a model that passes bytes becomes an integer program, then C99."""

from reluflow.edge.lower import lower
from reluflow.edge.run import run

__all__ = ["lower", "run"]

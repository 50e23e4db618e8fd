"""What every rewrite requires and ensures, and the record that it returns.

A rewrite requires a checked `Model`. It ensures the following:

* the given model does not change, and what it returns is a model of its own;
* the new model computes the same as the old one, unless the purpose is to change that, and names,
  documentation and metadata of everything it leaves alone are kept;
* external data stay in their files, and the notes of the given model are kept;
* what it cannot do is not an error: the node stays, and `refused` says why. Errors are for
  arguments that are wrong for any model, and for models that cannot be used at all.

On an `Editor` a rewrite is a step: a function that returns what it did and what it refused.
Steps that follow each other on one editor share its copy; `Editor.finish` makes the record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from reluflow.graph.proto.model import Model

Done = TypeVar("Done", covariant=True)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something cannot be done, where a function would otherwise return what it found.

    Attributes:
        text: a phrase without a full stop.
    """

    text: str

    def __str__(self) -> str:
        return self.text


EXCLUDED = Reason("it is excluded")


@dataclass(frozen=True, slots=True)
class Refused:
    """A node, or another named part, that a rewrite left as it was; part of a `Rewritten`.

    Attributes:
        node: its name, else its first output's.
        op: operator name, "" where it is not a node.
        reason: why, a phrase without a full stop.
    """

    node: str
    op: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rewritten(Generic[Done]):
    """A new model, and what was done to make it; returned by `to_psb` and all other rewrites.

    Attributes:
        model: the new model.
        done: what the rewrite did; each rewrite documents its content.
        refused: what was left alone, with the reason.
        notes: sentences on what else changed; they are appended to the notes of the new model.

    Example:
        >>> from reluflow.graph import load, prune
        >>> result = prune(load("models/fashion_resnet8.onnx"), 0.5, exclude=["/dense/Gemm"])
        >>> len(result.done), [(node.node, node.reason) for node in result.refused]
        (9, [('/dense/Gemm', 'it is excluded')])
    """

    model: Model
    done: Done
    refused: tuple[Refused, ...] = ()
    notes: tuple[str, ...] = ()

"""A copy of a model that a rewrite changes until it becomes the new model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableSequence
from typing import TypeVar

from reluflow.graph.proto.copy import copy_proto
from reluflow.graph.proto.model import Model
from reluflow.graph.rewrite.contract import Refused, Rewritten
from reluflow.graph.view.nesting import NameMaker

_Done = TypeVar("_Done")
_Entry = TypeVar("_Entry")


class Draft:
    """A copy of a model; the only place where a rewrite makes one.

    Rewrites that follow tensors from node to node work on an `Editor`, which is a draft with an
    index.

    Attributes:
        proto: the copy.
        base_dir: folder of external data.
        notes: those of the given model and of the steps so far.
        names: finds names that the copy does not have yet.
    """

    def __init__(self, model: Model, inline: bool = False, keep_domain: str | None = None) -> None:
        self.proto = copy_proto(model, inline, keep_domain)
        self.base_dir = model.base_dir
        self.notes = model.notes
        self.names = NameMaker(self.proto)
        self._notes_before = len(model.notes)

    def finish(self, done: _Done, refused: Iterable[Refused] = ()) -> Rewritten[_Done]:
        """Return the new model with what was done and what was not.

        Args:
            done: what the steps did.
            refused: what they left alone.
        """
        model = Model(self.proto, base_dir=self.base_dir, notes=self.notes)
        return Rewritten(model, done, tuple(refused), self.notes[self._notes_before :])


def retain(field: MutableSequence[_Entry], wanted: Callable[[_Entry], bool]) -> None:
    """Delete the entries of a repeated field that are not wanted; the others are unchanged.

    Args:
        field: of a protobuf message.
        wanted: tells whether an entry stays.
    """
    flags = [wanted(entry) for entry in field]
    for index in reversed(range(len(flags))):
        if not flags[index]:
            del field[index]

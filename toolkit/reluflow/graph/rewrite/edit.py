"""A graph that is being rewritten: a model's main graph, or one of its subgraphs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TypeVar

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from reluflow.data import Dim
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import OWN_DOMAIN
from reluflow.graph.rewrite.contract import Refused, Rewritten
from reluflow.graph.rewrite.draft import Draft, retain
from reluflow.graph.rewrite.reader import Reader, reads
from reluflow.graph.view.nesting import NameMaker

_CAPTURES_FROM_IR = 4
_SHOWN = 8
_Done = TypeVar("_Done")


class Editor(Draft, Reader):
    """A copy of a model whose local functions are inlined; PSB operators remain calls.

    Initializers count as constants even where they are listed as graph inputs. A rewrite that has
    used one calls `settle`: `finish` then removes it from the inputs, since a caller who replaced
    it would replace only a part of its former role, and adds a note. Constants with the same
    numbers are stored once.

    Steps share one editor: after `commit`, the next step sees the model as if it had been loaded
    again, but without a copy.

    `bodies` gives editors of the subgraphs of If, Loop and Scan. Their new constants go into the
    main graph, which they see, so that all graphs share them; `commit` and `finish` of the main
    graph's editor write them back too, and those taken from `bodies` before are then stale.

    Attributes:
        proto: the copy.
        base_dir: folder of external data.
        notes: those of the given model and of the steps so far.
        nodes: of the graph, in order; `commit` and `finish` write them back.
    """

    parent: Editor | None = None

    def __init__(self, model: Model) -> None:
        inline = any(f.domain != OWN_DOMAIN for f in model._proto.functions)
        Draft.__init__(self, model, inline, keep_domain=OWN_DOMAIN)
        Reader.__init__(self, self.proto, model.base_dir)

    def reload(self) -> None:
        """Index the copy again, after a step that has changed it as a whole."""
        super().reload()
        self.names = NameMaker(self.proto)
        self._defaults = {value.name for value in self.proto.graph.input} & self._given.keys()
        self._used: set[str] = set()
        self._stored: dict[bytes, str] = {}
        self._held: dict[int, set[str]] = {}

    @cached_property
    def bodies(self) -> tuple[Editor, ...]:
        """The editors of the subgraphs of the graph's own nodes, in graph order."""
        found = tuple(_Body(self, *held) for held in self._held_graphs())
        for body in found:
            self._held.setdefault(id(body.owner), set(reads(body.owner)))
        return found

    def everywhere(self) -> tuple[Editor, ...]:
        """Return this editor and those of all subgraphs, the outer ones first."""
        return (self, *(inner for body in self.bodies for inner in body.everywhere()))

    def sync(self) -> None:
        """Write back what was done in subgraphs; what nobody reads any more is dropped."""
        bodies = self.__dict__.get("bodies", ())
        for body in bodies:
            body.sync()
            body._write()
        for owner in {id(body.owner): body.owner for body in bodies}.values():
            self._reindex(owner, self._held.pop(id(owner)))
        self.__dict__.pop("bodies", None)

    def fresh(self, stem: str, what: str) -> str:
        """Return a tensor name that the model does not have yet."""
        return self.names.fresh(stem, what)

    def add_initializer(self, stem: str, what: str, array: np.ndarray) -> str:
        """Add a constant and return its name: a new one, or that of an equal one added before."""
        array = np.ascontiguousarray(array)
        digest = _digest(array)
        stored = self._stored.get(digest, "")
        # Layers that share weights are folded one by one; equal results are shared again.
        if stored in self._given:
            return stored
        name = self.fresh(stem, what)
        self._stored[digest] = name
        tensor = self.proto.graph.initializer.add()
        tensor.CopyFrom(numpy_helper.from_array(array, name))
        self._given[name] = tensor
        if self.proto.ir_version < _CAPTURES_FROM_IR:
            shape = list(array.shape)
            value = helper.make_tensor_value_info(name, tensor.data_type, shape)
            self.proto.graph.input.append(value)
        return name

    def put_constant(
        self, node: NodeProto, position: int, array: np.ndarray, stem: str, what: str
    ) -> None:
        """Give a node another constant; the old one stays for other nodes that read it.

        Args:
            node: the reader.
            position: number of the input.
            array: the new value.
            stem: of the new name, where the old one cannot be kept.
            what: end of the new name.
        """
        old = node.input[position] if position < len(node.input) else ""
        tensor = self._given.get(old)
        # In place where nobody else reads it: the weight keeps its name, which training and users
        # know. An input's default does not, as a caller may give another value.
        if tensor is not None and self.sole_reader(old) is node:
            listed = any(value.name == old for value in self.proto.graph.input)
            if not listed and old not in self._stored.values():
                _overwrite(tensor, array)
                return
        self.set_input(node, position, self.add_initializer(old or stem, what, array))

    def set_input(self, node: NodeProto, position: int, tensor: str) -> None:
        """Make a node read another tensor; constants that are no longer read are removed."""
        before = set(reads(node))
        while len(node.input) <= position:
            node.input.append("")
        node.input[position] = tensor
        self._reindex(node, before)

    def set_output(self, node: NodeProto, position: int, tensor: str) -> None:
        """Make a node write another tensor."""
        self._producers.pop(node.output[position], None)
        node.output[position] = tensor
        self._producers[tensor] = node

    def insert(self, node: NodeProto, after: NodeProto | None = None) -> NodeProto:
        """Insert a node after another one, by default before all."""
        place = 0 if after is None else self._place(after) + 1
        self.nodes.insert(place, node)
        self._enter(node)
        return node

    def replace(self, old: NodeProto, node: NodeProto) -> None:
        """Replace a node by another one."""
        self.nodes[self._place(old)] = node
        before = self._leave(old)
        self._enter(node)
        self._drop_unread(before)

    def remove(self, node: NodeProto) -> None:
        """Remove a node, and the constants that only it read."""
        del self.nodes[self._place(node)]
        self._drop_unread(self._leave(node))

    def add_input(self, name: str, default: np.ndarray) -> str:
        """Add an input of the model with a default value; return the name that it got."""
        free, number = name, 1
        while free in self.names.taken:
            number += 1
            free = f"{name}_{number}"
        self.names.taken.add(free)
        tensor = self.proto.graph.initializer.add()
        tensor.CopyFrom(numpy_helper.from_array(default, free))
        self._given[free] = tensor
        value = helper.make_tensor_value_info(free, tensor.data_type, list(default.shape))
        self.proto.graph.input.append(value)
        return free

    def drop_defaults(self, names: Iterable[str]) -> None:
        """Remove the default values of inputs of the model."""
        for name in names:
            self._given.pop(name, None)

    def describe(self, tensor: str, elem_type: int, shape: Sequence[Dim]) -> None:
        """Record the type and shape of a tensor where the model does not give them."""
        described = [*self.graph.value_info, *self.graph.output]
        value = helper.make_tensor_value_info(tensor, elem_type, shape)
        told = [other for other in described if other.name == tensor]
        for other in told:
            old = other.type.tensor_type.shape.dim
            # A full shape in the file was inferred or exported: it is as good as ours.
            if any(not dim.HasField("dim_value") for dim in old) or len(old) != len(shape):
                other.CopyFrom(value)
        if not told:
            self.graph.value_info.append(value)

    def raise_ir(self, version: int) -> None:
        """Raise the IR version; weights that old versions list as inputs become constants."""
        if self.proto.ir_version < _CAPTURES_FROM_IR <= version:
            retain(self.proto.graph.input, lambda value: value.name not in self._given)
        self.proto.ir_version = max(version, self.proto.ir_version)

    def settle(self) -> None:
        """Record that the constants read since the last call went into the rewritten model."""
        self._used |= self._read & self._defaults
        self._read.clear()

    def forget(self) -> None:
        """Record that the constants read since the last call changed nothing."""
        self._read.clear()

    def finish(self, done: _Done, refused: Iterable[Refused] = ()) -> Rewritten[_Done]:
        """Return the rewritten model with what was done and what was not.

        Args:
            done: what the steps did.
            refused: what they left alone.
        """
        self._write()
        return super().finish(done, refused)

    def commit(self) -> None:
        """End a step: its changes are written, and the next one reads types and names again."""
        self._write()
        self.reload()

    def _write(self) -> None:
        self.sync()
        self._fix_defaults()
        graph = self.graph
        # self.nodes are views into the graph's own field: copied before that is emptied, or they go
        # with it.
        copies = [NodeProto.FromString(node.SerializeToString()) for node in self.nodes]
        del graph.node[:]
        graph.node.extend(copies)
        retain(graph.initializer, lambda tensor: tensor.name in self._given)
        made = {name for node in copies for name in node.output}
        # Types of tensors that no node makes any more would be refused by strict readers.
        known = made | {value.name for value in graph.input}
        retain(graph.value_info, lambda value: value.name in known)

    def _fix_defaults(self) -> None:
        """Remove defaults that a rewrite has used from the inputs; old versions must list them."""
        if not self._used:
            return
        if self.proto.ir_version >= _CAPTURES_FROM_IR:
            self._take_from_inputs(self._used)
        shown = ", ".join(map(repr, sorted(self._used)[:_SHOWN]))
        more = f" and {len(self._used) - _SHOWN} more" if len(self._used) > _SHOWN else ""
        self.notes += (
            f"Defaults of inputs became constants, callers can no longer replace them: "
            f"{shown}{more}.",
        )

    def _take_from_inputs(self, names: set[str]) -> None:
        retain(self.proto.graph.input, lambda value: value.name not in names)

    def _place(self, node: NodeProto) -> int:
        return next(i for i, other in enumerate(self.nodes) if other is node)

    def _leave(self, node: NodeProto) -> set[str]:
        """Remove a node from the index; return what it read."""
        for name in node.output:
            if self._producers.get(name) is node:
                del self._producers[name]
        read = set(reads(node))
        for name in read:
            self._forget_reader(name, node)
        return read

    def _forget_reader(self, tensor: str, node: NodeProto) -> None:
        self._readers[tensor] = [other for other in self._readers[tensor] if other is not node]

    def _reindex(self, node: NodeProto, before: set[str]) -> None:
        now = set(reads(node))
        for name in before - now:
            self._forget_reader(name, node)
        for name in now - before:
            self._readers.setdefault(name, []).append(node)
        self._drop_unread(before - now)

    def _drop_unread(self, tensors: Iterable[str]) -> None:
        """Drop constants that are no longer read, and what only they needed."""
        for name in tensors:
            if not name or self.readers(name) or self.is_output(name):
                continue
            node = self.producer(name)
            if name in self._given:
                del self._given[name]
                self._take_from_inputs({name})
            elif node is not None and not any(map(self.readers, node.output)):
                if self.constant(name) is not None:
                    self.remove(node)


class _Body(Editor):
    """The editor of a subgraph; it shares names and new constants with the main graph's."""

    def __init__(self, parent: Editor, owner: NodeProto, branch: str, graph: GraphProto) -> None:
        self.proto, self.base_dir, self.graph = parent.proto, parent.base_dir, graph
        self.parent: Editor = parent
        self.owner: NodeProto = owner
        self.branch, self.names, self.notes = branch, parent.names, parent.notes
        self.reload()

    def reload(self) -> None:
        Reader.reload(self)
        self._defaults, self._used = set(), set()
        self._stored = self.parent._stored
        self._held = {}

    def commit(self) -> None:
        """End a step; the graphs around learn the new types, and see the new nodes."""
        super().commit()
        place: Editor | None = self.parent
        while place is not None:
            place.__dict__.pop("types", None)
            place.__dict__.pop("_typed", None)
            place = place.parent

    def add_initializer(self, stem: str, what: str, array: np.ndarray) -> str:
        """Add a constant to the main graph, which then knows that this graph reads it."""
        name = self.parent.add_initializer(stem, what, array)
        held = self.parent._held[id(self.owner)]
        if name not in held:
            held.add(name)
            self.parent._readers.setdefault(name, []).append(self.owner)
        return name

    def add_input(self, name: str, default: np.ndarray) -> str:
        return self.parent.add_input(name, default)

    def settle(self) -> None:
        self._read.clear()
        self.parent.settle()

    def forget(self) -> None:
        self._read.clear()
        self.parent.forget()

    def _take_from_inputs(self, names: set[str]) -> None:
        """Leave the inputs of a subgraph alone: their number is the owner's."""


def _overwrite(tensor: TensorProto, array: np.ndarray) -> None:
    """Give a tensor other numbers; its documentation stays."""
    new = numpy_helper.from_array(np.ascontiguousarray(array), tensor.name)
    new.doc_string = tensor.doc_string
    new.metadata_props.extend(tensor.metadata_props)
    tensor.CopyFrom(new)


def copy_documentation(source: NodeProto, node: NodeProto) -> None:
    """Give a node the documentation and metadata of the one that it replaces."""
    node.doc_string = source.doc_string
    node.metadata_props.extend(source.metadata_props)


def _digest(array: np.ndarray) -> bytes:
    head = f"{array.dtype}{array.shape}".encode()
    return hashlib.sha256(head + array.tobytes()).digest()

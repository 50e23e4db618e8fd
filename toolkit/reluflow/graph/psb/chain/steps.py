"""What a chain is planned from: one step for each node that may pass bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from onnx import NodeProto

from reluflow.graph.psb.chain.unary import Function
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import name_of
from reluflow.psb.fixed import FixedFormat

if TYPE_CHECKING:
    from reluflow.graph.psb.chain.write import ChainWriter


LAST_BYTE = 255


class Step(ABC):
    """A node that may join a chain.

    Attributes:
        node: in the converted model.
        reads: tensors that it takes as bytes.
        output: the tensor that it makes.
        form: of the output's bytes.
        rank: axes of the output.
        absorbed: nodes after it that it takes over.
        stays: whether it joins even where no other node takes its bytes.
        retargets: whether its output may be given another format.
        clamps: whether it can bound its output.
        bounds: of its output.
    """

    stays: ClassVar[bool] = False
    retargets: ClassVar[bool] = False
    clamps: ClassVar[bool] = False

    def __init__(
        self, node: NodeProto, reads: tuple[str, ...], form: FixedFormat, rank: int
    ) -> None:
        self.node = node
        self.reads = reads
        self.output: str = node.output[0]
        self.form = form
        self.rank = rank
        self.absorbed: list[NodeProto] = []
        self.bounds: tuple[float, float] | None = None

    @property
    @abstractmethod
    def becomes(self) -> str:
        """The operator of the chain."""

    @abstractmethod
    def write(self, writer: ChainWriter) -> None:
        """Write the node that replaces this one."""

    @property
    def name(self) -> str:
        """Name of the new node: the old one's."""
        return name_of(self.node)

    def byte_bounds(self) -> dict[str, int]:
        """Return the attributes `y_min` and `y_max`."""
        low, high = 0, LAST_BYTE
        if self.bounds is not None:
            low, high = (_byte(bound, self.form) for bound in self.bounds)
        return {"y_min": low, "y_max": high}


def _byte(value: float, form: FixedFormat) -> int:
    """Return the byte nearest to a value."""
    scaled = value * 2.0**form.exponent + form.zero
    return round(min(max(scaled, 0.0), LAST_BYTE))


class Planned:
    """The steps so far, and what is known of the tensors that they make.

    Attributes:
        editor: the converted model.
        formats: tensor -> format, as given.
        makers: tensor -> the step that makes it.
        functions: tensor -> the tensor and the function of it that it is.
    """

    def __init__(self, editor: Editor, formats: Mapping[str, FixedFormat]) -> None:
        self.editor = editor
        self.formats = formats
        self.makers: dict[str, Step] = {}
        self.functions: dict[str, tuple[str, Function]] = {}

    def form(self, tensor: str) -> FixedFormat | Reason:
        """Return the format of a tensor that is bytes, or could become bytes."""
        maker = self.makers.get(tensor)
        if maker is not None:
            return maker.form
        given = self.formats.get(tensor)
        return Reason(f"the format of {tensor!r} is not given") if given is None else given

    def forms(self, *tensors: str) -> tuple[FixedFormat, ...] | Reason:
        """Return the formats of some tensors, or the first reason why there are none."""
        found = []
        for tensor in tensors:
            form = self.form(tensor)
            if isinstance(form, Reason):
                return form
            found.append(form)
        return tuple(found)

    def rank(self, tensor: str) -> int | None:
        """Return the number of axes of a tensor, None where it is unknown."""
        maker = self.makers.get(tensor)
        return self.editor.rank(tensor) if maker is None else maker.rank

    def shape(self, tensor: str) -> tuple[Any, ...] | None:
        """Return the sizes of a tensor, None where its rank is unknown."""
        known = self.editor.types.get(tensor)
        return None if known is None else known.shape

    def add(self, step: Step) -> None:
        """Take in a step."""
        self.makers[step.output] = step


class TableStep(Step):
    """A function of one tensor, which becomes a table of 256 bytes when its bytes are read."""

    retargets = True
    becomes = "FixedTable"

    def __init__(
        self, node: NodeProto, root: str, function: Function, form: FixedFormat, rank: int
    ) -> None:
        super().__init__(node, (root,), form, rank)
        self.root = root
        self.function = function

    def write(self, writer: ChainWriter) -> None:
        """Write nothing: `ChainWriter.bytes_of` makes a table for whoever reads the output."""

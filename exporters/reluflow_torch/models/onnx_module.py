"""An ONNX model as a trainable torch module: the way back from a file to gradients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reluflow.errors import ModelError
from reluflow.graph import Model, Operation, Program, read_program
from reluflow_torch.models.onnx_ops import RULES

_LONGEST_REASON = 200
"""Characters of torch's words in a sentence: it lists all overloads of a function."""
_WEIGHTS = {  # operator -> positions of inputs that training changes
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "Gemm": (1, 2),
    "MatMul": (0, 1),
    "BatchNormalization": (1, 2),
    "LayerNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "PRelu": (1,),
    "Add": (0, 1),
    "Mul": (0, 1),
}


class OnnxStep(nn.Module):
    """One operator, as a module of its own so that hooks and recordings can name it."""

    def __init__(self, step: Operation, opset: int) -> None:
        super().__init__()
        self.step = step
        self.opset = opset

    def forward(self, *inputs: Tensor | None) -> Any:
        """Compute the operator's outputs; BatchNormalization follows the module's mode."""
        try:
            if self.step.op == "BatchNormalization":
                return self._batch_norm(*inputs)
            return RULES[self.step.op](self.step, list(inputs), self.opset)
        except (RuntimeError, NotImplementedError, IndexError, TypeError, KeyError) as error:
            reason = " ".join(str(error).split())[:_LONGEST_REASON]
            raise ModelError(
                f"node {self.step.name!r} ({self.step.op}) cannot run in torch ({reason}); "
                "check the inputs' shapes, or give a model without this use of the operator."
            ) from error

    def _batch_norm(self, *inputs: Any) -> Tensor:
        x, scale, shift, mean, variance = inputs
        kept = float(self.step.attributes.get("momentum", 0.9))  # type: ignore[arg-type]
        epsilon = float(self.step.attributes.get("epsilon", 1e-5))  # type: ignore[arg-type]
        return F.batch_norm(x, mean, variance, scale, shift, self.training, 1 - kept, epsilon)

    def extra_repr(self) -> str:
        """Return the operator and what it reads."""
        return f"{self.step.op}({', '.join(self.step.inputs)})"


class OnnxModule(nn.Module):
    """A trainable torch module that computes what an ONNX model does; `from_onnx` makes it.

    Floating-point initializers that Conv, Gemm, MatMul, normalisations, PRelu, Add and Mul read are
    parameters (single numbers excepted); everything else is a buffer. In training mode
    BatchNormalization uses the statistics of the batch and updates its own, as in torch.
    Dropout that an exporter left in the file passes on its input.

    Attributes:
        names: parameter or buffer name in torch -> name of the tensor in the file.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,-1,1,-1}>
        ...     { h = MatMul(x, w) y = Softmax(h) }''')
        >>> module = from_onnx(load(proto))
        >>> module.names, module.logits()(torch.ones(1, 2)).tolist()
        ({'weights.w': 'w'}, [[2.0, -2.0]])
    """

    def __init__(self, model: Model) -> None:
        """Read a model.

        Args:
            model: of ONNX's own operators, without subgraphs.

        Raises:
            ModelError: an operator is not supported here; the sentence names it.
        """
        super().__init__()
        program = read_program(model)
        _check(program)
        self.names: dict[str, str] = {}
        self._program = program
        self._tensors: dict[str, str] = {}
        self.weights = nn.Module()
        self._read_constants(program)
        keys = _unique(step.name for step in program.operations)
        modules = [OnnxStep(step, program.opset) for step in program.operations]
        self._nodes = dict(zip(keys, (step.name for step in program.operations), strict=True))
        self.steps = nn.ModuleDict(dict(zip(keys, modules, strict=True)))
        self._frees = _last_uses(program)

    def _read_constants(self, program: Program) -> None:
        trained = {
            step.inputs[at]
            for step in program.operations
            for at in _WEIGHTS.get(step.op, ())
            if at < len(step.inputs)
        }
        for name, key in zip(program.constants, _unique(program.constants), strict=True):
            array = np.array(program.constants[name])
            tensor = torch.from_numpy(array)
            if name in trained and tensor.is_floating_point() and tensor.numel() > 1:
                self.weights.register_parameter(key, nn.Parameter(tensor))
            else:
                self.weights.register_buffer(key, tensor)
            self._tensors[name] = key
            self.names[f"weights.{key}"] = name

    @property
    def has_batch_norm(self) -> bool:
        """Whether an operator computes something else in training mode."""
        return any(step.op == "BatchNormalization" for step in self._program.operations)

    def forward(self, *inputs: Tensor, **named: Tensor) -> Any:
        """Run the model.

        Args:
            inputs: one tensor for each of the model's inputs, in order.
            named: or by the input's name.

        Returns:
            The output, or a tuple where the model has several.
        """
        values: dict[str, Tensor] = dict(zip(self._program.inputs, inputs, strict=False))
        values.update(named)
        for name in self._program.inputs:
            if name not in values:
                raise ModelError(f"input {name!r} is not given; pass it, the model reads it.")
        for number, (step, module) in enumerate(
            zip(self._program.operations, self.steps.values(), strict=True)
        ):
            result = module(*(self._value(values, name) for name in step.inputs))
            outputs = result if isinstance(result, tuple) else (result,)
            values.update(zip(step.outputs, outputs, strict=False))
            for name in self._frees[number]:
                values.pop(name, None)
        results = tuple(self._value(values, name) for name in self._program.outputs)
        return results[0] if len(results) == 1 else results

    def _value(self, values: Mapping[str, Tensor], name: str) -> Tensor | None:
        if not name:
            return None
        if name in values:
            return values[name]
        stored: Tensor = getattr(self.weights, self._tensors[name])
        return stored

    def node_of(self, site: str) -> str:
        """Return the name, in the file, of the node that is a switch site of this module.

        Args:
            site: a name that `PatternCapture` or `sensitivity` gave.
        """
        key = site.removeprefix("steps.").split("/")[0].split("#")[0]
        return self._nodes.get(key, site)

    def logits(self, last: str = "Softmax") -> OnnxModule:
        """Return the module without a Softmax at its end, so that a cross entropy can follow.

        This applies only where the single output is that of a Softmax which nothing else reads.

        Args:
            last: the operator to leave out; "Sigmoid" before a binary cross entropy.
        """
        steps = self._program.operations
        [output, *others] = self._program.outputs
        end = steps[-1]
        reads = Counter(name for step in steps for name in step.inputs)
        if others or end.op != last or end.outputs[0] != output or reads[output]:
            return self
        self._program = Program(
            steps[:-1],
            self._program.constants,
            self._program.inputs,
            (end.inputs[0],),
            self._program.opset,
        )
        del self.steps[next(reversed(list(self.steps)))]
        self._frees = _last_uses(self._program)
        return self


def from_onnx(model: Model) -> OnnxModule:
    """Return an ONNX model as a trainable torch module.

    Args:
        model: as `reluflow.graph.load` returns it.

    Returns:
        The module, in training mode as every new module.

    Raises:
        ModelError: an operator is not supported here, is of another domain or holds a subgraph.

    Example:
        >>> import onnx.parser, torch
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,-1,1,-1}>
        ...     { h = MatMul(x, w) y = Relu(h) }''')
        >>> module = from_onnx(load(proto))
        >>> module(torch.ones(1, 2)).tolist(), [name for name, _ in module.named_parameters()]
        ([[2.0, 0.0]], ['weights.w'])
        >>> from reluflow_torch import PatternCapture
        >>> with PatternCapture(module) as capture:
        ...     _ = module(torch.ones(1, 2))
        >>> [module.node_of(site) for site in capture.patterns]
        ['y']
    """
    return OnnxModule(model)


def _check(program: Program) -> None:
    for step in program.operations:
        if step.op not in RULES and step.op != "BatchNormalization":
            raise ModelError(
                f"node {step.name!r} is {step.op}, which cannot be differentiated here; "
                "export the model in floating point with ONNX's plain operators."
            )


def _unique(names: Iterable[str]) -> list[str]:
    """Names that torch accepts: no dots, none twice, none empty."""
    made: list[str] = []
    seen: set[str] = set()
    for name in names:
        key = base = "".join(c if c.isalnum() else "_" for c in name) or "unnamed"
        number = 1
        while key in seen:
            number += 1
            key = f"{base}_{number}"
        seen.add(key)
        made.append(key)
    return made


def _last_uses(program: Program) -> list[list[str]]:
    """For each operation, the tensors that nothing reads after it."""
    last = {name: at for at, step in enumerate(program.operations) for name in step.inputs}
    frees: list[list[str]] = [[] for _ in program.operations]
    for name, at in last.items():
        if name not in program.outputs:
            frees[at].append(name)
    return frees

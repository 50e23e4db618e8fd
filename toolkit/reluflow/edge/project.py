"""A folder of C: the model, the kernels, a self-test, and files for make, CMake and Arduino."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray

from reluflow._version import __version__
from reluflow.edge.cascade import EdgeCascade, run_cascade
from reluflow.edge.choose import plan_memory
from reluflow.edge.cost import (
    CROSS,
    FLAGS,
    STACK_BYTES,
    EdgeCost,
    check_ram,
    count_cost,
    measure_code,
)
from reluflow.edge.emit.calls import emit_calls
from reluflow.edge.emit.emission import Emission
from reluflow.edge.emit.writer import CWriter, safe
from reluflow.edge.options import EdgeOptions, name_of_file
from reluflow.edge.plan import WORD_BYTES, MemoryPlan
from reluflow.edge.program import EdgeProgram, EdgeTensor
from reluflow.edge.run import input_bytes, run
from reluflow.errors import OutputError
from reluflow.files import swap_folder
from reluflow.frames import Shown, Tabular, flat

_TEMPLATES = Path(__file__).parent / "emit" / "templates"
_FILES = {
    "model.h": "src/{name}.h",
    "model.c": "src/{name}.c",
    "selftest.c": "selftest/selftest.c",
    "vectors.h": "selftest/vectors.h",
    "stream.c": "host/stream.c",
    "Makefile": "Makefile",
    "CMakeLists.txt": "CMakeLists.txt",
    "library.properties": "library.properties",
    "example.ino": "examples/{name}_serial/{name}_serial.ino",
}
"""Template -> the file that it becomes."""
_ROOT = 3
"""Folders from the files of this room up to the root of a checkout."""
_KERNELS = "src/reluflow_edge"
_RUNS = ((0, 0), (1, 1), (4, 2), (16, 3), (64, -4))
"""Numbers of samples and seeds of the self-test."""
_CASCADE = 255
"""What stands for both passes of a cascade in the place of a number of samples."""
_CASCADES = 4


@dataclass(frozen=True, slots=True, repr=False)
class EdgeProject(Tabular):
    """A written project; `write_project` returns it.

    Attributes:
        folder: where it lies.
        name: of the library.
        target: that the Makefile compiles for.
        strict: whether no kernel multiplies.
        cost: in RAM, flash and shift-adds.
        program: what the C computes; `reluflow.edge.run` runs it in numpy.
        cascade: its two passes, which `reluflow.edge.run_cascade` runs; None: it has one.
    """

    folder: Path
    name: str
    target: str
    strict: bool
    cost: EdgeCost
    program: EdgeProgram
    cascade: EdgeCascade | None = None

    _shown: ClassVar[Shown] = {
        "layer": ("name", "text"),
        "operator": ("op", "text"),
        "output": ("shape", "text"),
        "bytes alive": ("alive_bytes", "count"),
        "shift-adds": ("shift_adds", "count"),
    }

    def _heading(self) -> str:
        return (
            f"{self.name} for {self.target}: {self.cost.ram_bytes:,} bytes of RAM, "
            f"{self.cost.constants_bytes:,} of constants, {self.cost.shift_adds:,} shift-adds"
        )

    def _records(self) -> Sequence[dict[str, Any]]:
        return [flat(step) for step in self.cost.steps]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain values, for JSON."""
        cost = self.cost
        return {
            "folder": str(self.folder),
            "name": self.name,
            "target": self.target,
            "strict": self.strict,
            "ram_bytes": cost.ram_bytes,
            "stack_bytes": cost.stack_bytes,
            "arena_bytes": cost.arena_bytes,
            "words_bytes": cost.words_bytes,
            "drawn_bytes": cost.drawn_bytes,
            "copy_bytes": cost.copy_bytes,
            "held_bytes": cost.held_bytes,
            "flash": dict(cost.flash),
            "constants_bytes": cost.constants_bytes,
            "code_bytes": cost.code_bytes,
            "samples": cost.samples,
            "shift_adds": cost.shift_adds,
            "steps": [asdict(step) | {"shape": list(step.shape)} for step in cost.steps],
            "groups": [asdict(group) for group in cost.groups],
            "cascade": None if self.cascade is None else asdict(self.cascade),
        }


def write_project(
    program: EdgeProgram,
    folder: str | os.PathLike[str],
    options: EdgeOptions,
    inputs: Sequence[Mapping[str, NDArray[Any]]],
    stem: str = "model",
    cascade: EdgeCascade | None = None,
) -> EdgeProject:
    """Write a program as a project of C; the folder appears whole or not at all.

    Args:
        program: of `lower`.
        folder: to make; one that is there must be empty, or a project that is replaced.
        options: of the project.
        inputs: of the self-test: name -> float32 values or bytes of one input; at least one.
        stem: of the model's file, which names the library where the options do not.
        cascade: of `choose_cascade`, for two passes; None: one.

    Returns:
        The project and its figures.

    Raises:
        OptionError: it needs more RAM than the options allow.
        OutputError: the folder holds something else, or cannot be written.

    Example:
        >>> import tempfile, reluflow
        >>> from reluflow.edge import EdgeOptions, lower
        >>> images = np.load("models/fashion_mnist_test_2000.npz")["image"]
        >>> psb = reluflow.convert(
        ...     "models/fashion_convnet8.onnx", check=False, x_bits=8, calibration=images[:8])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     made = write_project(
        ...         lower(psb.model), f"{folder}/net", EdgeOptions(name="net"),
        ...         [{"image": images[:1]}])
        >>> made.name, made.to_dict()["arena_bytes"]
        ('net', 25088)

    Reference: docs/edge.md.
    """
    target = Path(folder)
    _check_folder(target)
    program = replace(program, keeps_inputs=cascade is not None)
    name = options.name or name_of_file(stem)
    limit = None if options.ram is None else options.ram - STACK_BYTES
    plan = plan_memory(program, limit)
    emission = Emission(program, plan, CWriter(), name)
    calls, functions = emit_calls(emission)
    cost = count_cost(program, plan, emission.writer.flash_bytes, options.samples, None)
    if options.ram is not None:
        check_ram(cost, options.ram)
    facts = _facts(emission, name, options, cost)
    facts |= {"calls": calls, "functions": functions, "constants": emission.writer.lines}
    facts["cascade"] = None if cascade is None else _cascade_facts(emission, cascade)
    facts |= _vectors(program, inputs, cascade)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
        try:
            _write(partial, name, options, facts)
            code = measure_code(partial / "src", options.target)
            swap_folder(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"folder {str(target)!r} cannot be written: {error.strerror or error}; give another."
        ) from error
    cost = count_cost(program, plan, emission.writer.flash_bytes, options.samples, code)
    return EdgeProject(target, name, options.target, options.strict, cost, program, cascade)


def _check_folder(target: Path) -> None:
    """Refuse a place where something else stands than a project of ours."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise OutputError(f"folder {str(target)!r} is something else; give a new folder.")
    ours = (target / _KERNELS / "reluflow_edge.h").is_file()
    if target.is_dir() and any(target.iterdir()) and not ours:
        raise OutputError(
            f"folder {str(target)!r} holds other files than a project of this command; give a new "
            "or an empty folder."
        )


def kernel_folder() -> Path:
    """Return the folder with the kernels: of the installed package, or of the checkout."""
    installed = Path(__file__).parent / "kernels"
    return installed if installed.is_dir() else Path(__file__).parents[_ROOT] / "runtime" / "edge"


def _write(folder: Path, name: str, options: EdgeOptions, facts: Mapping[str, Any]) -> None:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    for template, place in _FILES.items():
        path = folder / place.format(name=name)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = environment.get_template(f"{template}.j2").render(facts)
        path.write_text(text, encoding="utf-8")
    kernels = folder / _KERNELS
    kernels.mkdir(parents=True)
    for source in sorted(kernel_folder().iterdir()):
        if source.suffix in (".c", ".h", ".inc"):
            shutil.copyfile(source, kernels / source.name)
    if options.strict:
        config = "/* No kernel multiplies. */\n#define RELUFLOW_STRICT 1\n"
        (kernels / "config.h").write_text(config, encoding="utf-8")


def _facts(emission: Emission, name: str, options: EdgeOptions, cost: EdgeCost) -> dict[str, Any]:
    program, plan = emission.program, emission.plan
    prefix = "" if options.target == "host" else CROSS
    told = [program.tensors[name] for name in program.outputs]
    return {
        "title": safe(name),
        "version": __version__,
        "name": name,
        "upper": name.upper(),
        "target": options.target,
        "compiler": f"{prefix}gcc" if prefix else "cc",
        "archiver": f"{prefix}ar",
        "flags": FLAGS[options.target],
        "samples": options.samples,
        "ram_bytes": cost.ram_bytes,
        "stack_bytes": STACK_BYTES,
        "memory": _memory(plan),
        "inputs": _inputs(emission),
        "outputs": [
            _told(emission, tensor, k if len(told) > 1 else "") for k, tensor in enumerate(told)
        ],
        "words": any(not tensor.is_bytes for tensor in told),
        "output_bytes": sum(t.count if t.is_bytes else WORD_BYTES * t.count for t in told),
    }


def _memory(plan: MemoryPlan) -> list[tuple[str, str, int]]:
    """Return the fields of the memory of a run: type, name, number."""
    fields = [
        ("int32_t", "words", plan.words),
        ("uint16_t", "held", 2 * plan.held),
        ("uint8_t", "arena", plan.arena_bytes),
        ("int8_t", "drawn", plan.drawn_bytes),
        ("uint8_t", "copy", plan.copy_bytes),
    ]
    return [field for field in fields if field[-1]]


def _inputs(emission: Emission) -> list[dict[str, Any]]:
    program = emission.program
    found = []
    for k, given in enumerate(program.inputs):
        tensor = program.tensors[given.tensor]
        fact = _told(emission, tensor, k if len(program.inputs) > 1 else "")
        form = {"exponent": given.form.exponent, "zero": given.form.zero}
        fact["pixels"] = given.divisor
        found.append({**fact, **form, "title": safe(given.name)})
    return found


def _told(emission: Emission, tensor: EdgeTensor, index: object) -> dict[str, Any]:
    return {
        "title": safe(tensor.name),
        "index": index,
        "shape": "x".join(map(str, tensor.shape[1:])) or "1",
        "count": tensor.count,
        "exponent": tensor.exponent,
        "zero": tensor.zero,
        "divisor": tensor.divisor,
        "type": "uint8_t" if tensor.is_bytes else "int32_t",
        "at": emission.at(tensor.name),
    }


def _cascade_facts(emission: Emission, cascade: EdgeCascade) -> dict[str, Any]:
    return {
        "title": safe(cascade.output),
        "first": cascade.samples[0],
        "second": cascade.samples[1],
        "margin": cascade.margin,
        "inputs": cascade.inputs,
        "stops": round(100 * cascade.stops, 1),
        "differs": round(100 * cascade.differs, 2),
        "at": emission.at(cascade.output),
        "count": emission.program.tensors[cascade.output].count,
    }


def _vectors(
    program: EdgeProgram,
    inputs: Sequence[Mapping[str, NDArray[Any]]],
    cascade: EdgeCascade | None,
) -> dict[str, Any]:
    """Return the self-test: inputs in bytes, and the outputs of the program in numpy."""
    rows: dict[str, list[NDArray[Any]]] = {}
    indexed = [
        (f"input{k if len(program.inputs) > 1 else ''}", given)
        for k, given in enumerate(program.inputs)
    ]
    runs = list(_RUNS)
    if cascade is not None:
        runs += [(_CASCADE, cascade.seed + k) for k in range(_CASCADES)]
    passes = []
    for number, (samples, seed) in enumerate(runs):
        feeds = input_bytes(program, inputs[number % len(inputs)])
        if cascade is not None and samples == _CASCADE:
            outputs, count = run_cascade(program, cascade, feeds, seed)
        else:
            outputs, count = run(program, feeds, samples, seed), 1
        passes.append(count)
        for name, given in indexed:
            rows.setdefault(name, []).append(feeds[given.name].reshape(-1))
        for k, value in enumerate(outputs.values()):
            name = f"output{k if len(outputs) > 1 else ''}"
            rows.setdefault(name, []).append(value.reshape(-1))
    arrays = [
        {
            "name": name,
            "type": "uint8_t" if values[0].dtype == np.uint8 else "int32_t",
            "count": len(values[0]),
            "rows": [", ".join(map(str, value.tolist())) for value in values],
        }
        for name, values in rows.items()
    ]
    return {
        "vectors": len(runs),
        "vector_samples": [f"{samples}U" for samples, _ in runs],
        "vector_seeds": [seed for _, seed in runs],
        "vector_passes": passes,
        "arrays": arrays,
    }

"""Operators that compute a region of their output alone, against where(region, output, base)."""

from typing import Any

import numpy as np
import onnxruntime as ort
from chain_cases import Arrays, one_node
from onnx import helper

from reluflow.sessions.library import register


def random_region(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return a mask `(N, spatial...)` of stretches, noise, everything or nothing."""
    kind = rng.integers(8)
    if kind < 2:
        return np.full(shape, bool(kind))
    if kind < 4:
        return rng.random(shape) < rng.random()
    mask = np.zeros(shape, bool)
    for _ in range(int(rng.integers(1, 6))):
        ends = [np.sort(rng.integers(0, n + 1, 2)) for n in shape]
        mask[tuple(slice(a, b) for a, b in ends)] = True
    return mask


def check_region(
    op: str,
    inputs: Arrays,
    constants: dict[str, np.ndarray | None],
    attributes: dict[str, Any],
    expected: np.ndarray,
    *,
    seed: int,
    threads: int = 1,
    channels_last: bool = True,
) -> None:
    """Run a node in a random region: pixels outside get the base, or stay as they are.

    Args:
        op: the operator.
        inputs: what the run feeds, by name.
        constants: its other inputs in order, up to those before `region`; None where left out.
        attributes: of the node.
        expected: Y of the dense run.
        seed: of the region and of what lies outside.
        threads: of the session.
        channels_last: whether Y has its channels last.
    """
    rng = np.random.default_rng(seed)
    last = expected if channels_last else np.moveaxis(expected, 1, -1)
    region = random_region(rng, last.shape[:-1])
    base = rng.integers(-50, 50, expected.shape).astype(expected.dtype)
    inside = np.broadcast_to(region[..., None], last.shape)
    inside = inside if channels_last else np.moveaxis(inside, -1, 1)
    wanted = np.where(inside, expected, base)
    fed = {**inputs, "region": region if seed % 3 else region.astype(np.uint8) * 7}
    for bound in (False, True):
        given = fed if bound else {**fed, "base": base}
        session = open_in_region(op, given, inputs, constants, attributes, expected, threads)
        found = base.copy()
        if bound:
            _run_into(session, given, found)
        else:
            found = session.run(None, given)[0]
        np.testing.assert_array_equal(found, wanted, f"{op}, seed {seed}, bound {bound}")


def open_in_region(
    op: str,
    fed: Arrays,
    inputs: Arrays,
    constants: dict[str, np.ndarray | None],
    attributes: dict[str, Any],
    y: np.ndarray,
    threads: int = 1,
) -> ort.InferenceSession:
    """Return a session of a node that reads `region`, and `base` where both are fed."""
    proto = one_node(op, fed, constants, attributes)
    names = ["" if array is None else name for name, array in constants.items()]
    behind = ["region", "base"] if "base" in fed else ["region"]
    del proto.graph.node[0].input[:]
    if op == "RegionConcat":  # of any number of tensors, so that these stand behind
        proto.graph.node[0].input.extend([*behind, *([""] * (2 - len(behind))), *inputs])
    else:
        proto.graph.node[0].input.extend([*inputs, *names, *behind])
    made = helper.np_dtype_to_tensor_dtype(y.dtype)
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", made, y.shape))
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    register(options)
    return ort.InferenceSession(proto.SerializeToString(), options)


def _run_into(session: ort.InferenceSession, fed: Arrays, y: np.ndarray) -> None:
    """Run with the output bound to the memory of `y`."""
    binding = session.io_binding()
    for name, array in fed.items():
        binding.bind_cpu_input(name, array)
    kept = ort.OrtValue.ortvalue_from_numpy(y)
    binding.bind_ortvalue_output("y", kept)
    session.run_with_iobinding(binding)
    y[...] = kept.numpy()

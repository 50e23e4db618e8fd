"""PsbMatMul against the numpy oracle: the same bits for every kernel and number of threads."""

from typing import Any

import numpy as np
import pytest
from networks.psb import KERNELS, assert_same_bits, open_native, psb_node, run_psb

from reluflow.psb import encode, matmul

# (A shape, N)
ROWS = [
    ((1, 1), 1),
    ((1, 7), 3),
    ((5, 128), 64),
    ((70, 129), 65),
    ((2, 3, 5, 40), 17),
    ((33,), 9),
    ((1, 1000), 130),
    ((0, 4), 2),
]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("row", range(len(ROWS)), ids=[str(r) for r in ROWS])
def test_products_are_equal_to_the_bit(
    row: int, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELUFLOW_KERNEL", kernel)
    shape, columns = ROWS[row]
    rng = np.random.default_rng(row)
    a = rng.standard_normal(shape).astype(np.float32)
    code = encode(rng.standard_normal((columns, shape[-1])), p_bits=8)
    bias = rng.standard_normal(columns).astype(np.float32) if row % 2 else None
    z = rng.standard_normal((*shape[:-1], columns)).astype(np.float32) if row % 3 else None
    feeds = {} if z is None else {"z": z}
    for sampler in ("systematic", "binomial", "nearest"):
        for draws in ("run", "product"):
            options: dict[str, Any] = {
                "sampler": sampler,
                "draws": draws,
                "stream": row,
                "activation": "relu" if row % 3 else "none",
                "x_bits": 16 if row == 2 else 12,
            }
            model = psb_node("PsbMatMul", code, bias, rank=a.ndim, z=z is not None, **options)
            session = open_native(model, 2)
            for n in (0, 2, 64) if draws == "run" else (2,):
                want = matmul(a, code, bias, z, samples=n, seed=5, **options)
                assert_same_bits(run_psb(session, a, n, 5, **feeds), want)

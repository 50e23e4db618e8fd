"""The bit planes in which a weight code is stored in a model file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import OptionError
from reluflow.psb._check import ROUNDINGS, check_choice, check_p_bits
from reluflow.psb.codec import N_PLANES_BESIDE_P, PsbCode


def pack(code: PsbCode) -> NDArray[np.uint8]:
    """Return the bit planes `(5 + P, ceil(n_weights / 8))` of a code.

    Bit `i % 8` of `planes[b, i // 8]` is bit b of the word of weight i; padding bits are 0.

    Args:
        code: the weight code.

    Returns:
        uint8.

    Example:
        >>> from reluflow.psb.codec import encode
        >>> pack(encode(np.array([[3.0, -0.75, 0.0]]), p_bits=4)).shape
        (9, 1)

    Reference: docs/psb-ops.md, weight code.
    """
    shifts = np.arange(N_PLANES_BESIDE_P + code.p_bits, dtype=np.uint32)[:, None]
    bits = (code.words.reshape(1, -1) >> shifts) & 1
    return np.packbits(bits.astype(np.uint8), axis=1, bitorder="little")


def unpack(
    planes: NDArray[np.uint8],
    shape: tuple[int, ...],
    emax: NDArray[np.int8],
    p_bits: int,
    rounding: str = "carried",
) -> PsbCode:
    """Return the code that `pack` wrote.

    Args:
        planes: `(5 + P, ceil(n_weights / 8))` uint8.
        shape: the stored shape, output channels first.
        emax: `(channels,)` int8.
        p_bits: P.
        rounding: "carried" or "half", for bits that are shifted out.

    Raises:
        OptionError: the parts do not fit together, or a padding bit is set.

    Example:
        >>> from reluflow.psb.codec import encode
        >>> code = encode(np.array([[3.0, -0.75, 0.0]]), p_bits=4)
        >>> again = unpack(pack(code), code.shape, code.emax, code.p_bits)
        >>> bool((again.words == code.words).all())
        True

    Reference: docs/psb-ops.md, weight code.
    """
    check_p_bits(p_bits)
    check_choice("rounding", rounding, ROUNDINGS)
    count = int(np.prod(shape, dtype=np.int64))
    wanted = (N_PLANES_BESIDE_P + p_bits, -(-count // 8))
    if planes.dtype != np.uint8 or planes.shape != wanted:
        raise OptionError(
            f"planes are {planes.dtype} {planes.shape}: weights of shape {tuple(shape)} "
            f"with p_bits={p_bits} need uint8 {wanted}; give what pack returned."
        )
    if emax.dtype != np.int8 or emax.shape != tuple(shape[:1]):
        raise OptionError(
            f"emax is {emax.dtype} {emax.shape}: weights of shape {tuple(shape)} "
            f"need int8 {tuple(shape[:1])}; give what pack returned."
        )
    bits = np.unpackbits(planes, axis=1, bitorder="little").astype(np.uint32)
    if bits[:, count:].any():
        raise OptionError(f"planes have bits set behind weight {count - 1}: give planes from pack.")
    shifts = np.arange(N_PLANES_BESIDE_P + p_bits, dtype=np.uint32)[:, None]
    words = np.bitwise_or.reduce(bits[:, :count] << shifts, axis=0)
    return PsbCode(words.reshape(shape), emax.copy(), p_bits, rounding)


def bits_per_weight(code: PsbCode) -> float:
    """Return the stored bits per weight, padding and the channels' exponents included.

    Args:
        code: the weight code.

    Example:
        >>> from reluflow.psb.codec import encode
        >>> bits_per_weight(encode(np.ones((1, 8)), p_bits=4))
        10.0

    Reference: docs/spec.md, section 8.
    """
    n_bytes = (N_PLANES_BESIDE_P + code.p_bits) * -(-code.words.size // 8) + code.emax.size
    return 8 * n_bytes / code.words.size

"""Draws weights in torch as the PSB operators do, to the bit where they read the same numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from reluflow.errors import OptionError
from reluflow.psb import LARGEST_NIBBLE, MAX_SAMPLES, P_BITS, SAMPLERS, SAMPLES, SCALE_BITS

_MAX_J = LARGEST_NIBBLE - 1
_SMALL_J = 8
"""Below so many octaves a weight counts among those that share what is shifted out."""
_P16, _SMALL = 16, 17
"""Fraction bits of a probability, and of the mean of a small weight."""
_NO_EXPONENT = -100_000
_LOW, _HIGH = -126, 127
"""Exponents of the powers of two that float32 holds with all its bits."""


def check_drawing(samples: int, p_bits: int, sampler: str) -> None:
    """Refuse a number of samples, of bits, or a sampler that the operators do not have.

    Args:
        samples: n.
        p_bits: P.
        sampler: how k is drawn.

    Raises:
        OptionError: one of them is not accepted.
    """
    for name, value, accepted in (
        ("samples", samples, SAMPLES),
        ("p_bits", p_bits, P_BITS),
        ("sampler", sampler, SAMPLERS),
    ):
        if value not in accepted:
            listed = ", ".join(map(repr, accepted))
            raise OptionError(f"{name} is {value!r}; give one of {listed}.")


@dataclass(frozen=True)
class _Code:
    """Sign, exponent and probability of weights `(channels, k)`, in int64."""

    sign: Tensor
    j: Tensor
    p16: Tensor
    emax: Tensor


def drawn_weights(
    weights: Tensor,
    samples: int,
    *,
    p_bits: int = 4,
    sampler: str = "systematic",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return weights as one run of an operator draws them: s 2^e (1 + k / n).

    Weights get their code first: e = floor(log2 |w|), p = |w| / 2^e - 1 in `p_bits` bits, and 0
    where they lie more than 14 octaves below their channel's largest. Then k of n samples take the
    larger shift: nearest round(n p), binomial B(n, p), systematic floor(n p + u) with one u per
    channel that is carried from weight to weight. What n samples shift out of the smallest weights
    is carried to the next ones. Nothing here has a gradient.

    Args:
        weights: `(channels, ...)`, output channels first; read as float32.
        samples: n, one of 1, 2, 4, ..., 64; 0 is n = 64 with the nearest sampler.
        p_bits: stored bits of a probability: 1, 2, 3, 4, 6, 8 or 16.
        sampler: "systematic", "binomial" or "nearest".
        generator: of the random numbers, on the device of the weights.

    Returns:
        float32 in the shape of the weights.

    Raises:
        OptionError: an option is not among the accepted ones.

    Example:
        >>> w = torch.tensor([[1.5, -1.3, 0.0]])
        >>> drawn_weights(w, 1, sampler="nearest").tolist()
        [[2.0, -1.0, 0.0]]
        >>> draws = drawn_weights(w.expand(4096, 3), 1, generator=torch.Generator().manual_seed(0))
        >>> bool((draws.mean(0) - torch.tensor([1.5, -1.3125, 0.0])).abs().max() < 0.02)
        True

    Reference: thesis eq. 4.5 to 4.8; docs/psb-ops.md, sampled weight.
    """
    check_drawing(samples, p_bits, sampler)
    n = samples or MAX_SAMPLES
    with torch.no_grad():
        code = _encode(weights.detach().float().reshape(len(weights), -1), p_bits)
        if samples == 0 or sampler == "nearest":
            return _values(code, n, *_nearest(code, n)).reshape(weights.shape)
        if sampler == "binomial":
            chance = code.p16 / (1 << _P16)
            k = torch.binomial(torch.full_like(chance, n), chance, generator=generator).long()
        else:
            k = systematic_draws(code, n, _bits(code, _P16, generator))
        return _values(code, n, k, _bits(code, _SMALL, generator)).reshape(weights.shape)


def _bits(code: _Code, bits: int, generator: torch.Generator | None) -> Tensor:
    """Return so many random bits per channel, `(channels, 1)`."""
    device = code.p16.device
    return torch.randint(1 << bits, (len(code.p16), 1), generator=generator, device=device)


def _nearest(code: _Code, n: int) -> tuple[Tensor, Tensor]:
    half = torch.full((len(code.p16), 1), 1 << (_SMALL - 1), device=code.p16.device)
    return (n * code.p16 + (1 << (_P16 - 1))) >> _P16, half


def _encode(rows: Tensor, p_bits: int) -> _Code:
    """Return the code of weights `(channels, k)`, as `reluflow.psb.encode` makes it."""
    # frexp is exact; a logarithm would put some powers of two into the octave below.
    mantissa, exponent = torch.frexp(rows.abs())
    e = torch.where(rows == 0, _NO_EXPONENT, exponent.long() - 1)
    emax = e.amax(1, keepdim=True)
    emax = torch.where(emax == _NO_EXPONENT, 0, emax.clamp(min=-128))
    j, full = emax - e, 1 << p_bits
    q = torch.round((2 * mantissa - 1) * full).long()
    carry = q == full
    q = torch.where(carry, torch.where(j == 0, full - 1, 0), q)
    j = torch.where(carry, (j - 1).clamp(min=0), j)
    sign = torch.where(j <= _MAX_J, rows.sign().long(), 0)
    kept = sign != 0
    return _Code(
        sign,
        torch.where(kept, j, LARGEST_NIBBLE),
        torch.where(kept, q << (_P16 - p_bits), 0),
        emax,
    )


def systematic_draws(code: _Code, n: int, offsets: Tensor) -> Tensor:
    """Return k of every weight, `(channels, k)`: floor(n p + u), u carried along the channel.

    Args:
        code: of the weights.
        n: number of samples.
        offsets: `(channels, 1)`, 16 bits each: where u begins.
    """
    # Weights of one size and sign follow each other, so that each makes up for the one before.
    order = torch.argsort(
        2 * (LARGEST_NIBBLE - code.j) + (code.sign < 0).long(), dim=1, stable=True
    )
    ordered = code.p16.gather(1, order)
    before = torch.empty_like(ordered).scatter_(1, order, ordered.cumsum(1) - ordered)
    carried = (offsets + n * (before & ((1 << _P16) - 1))) & ((1 << _P16) - 1)
    return (n * code.p16 + carried) >> _P16


def _values(code: _Code, n: int, k: Tensor, offsets: Tensor) -> Tensor:
    """Return w' 2^(emax - 13) as float32, `(channels, k)`; small weights begin at `offsets`."""
    shift = SCALE_BITS - int(math.log2(n)) - code.j
    large = code.sign * ((n + k) << shift.clamp(min=0))
    mean = ((1 << _P16) + code.p16) << (_MAX_J - code.j).clamp(0, _MAX_J)
    value = torch.where(code.j >= _SMALL_J, code.sign * mean, 0)
    u = (value.cumsum(1) - value + offsets) & ((1 << _SMALL) - 1)
    w = torch.where(shift < 0, (value + u) >> _SMALL, large)
    power = ((code.emax - SCALE_BITS).clamp(_LOW, _HIGH) + _HIGH) << 23
    return w.float() * power.to(torch.int32).view(torch.float32)

"""The stored numbers of one layer, chosen by the moments of its inputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reluflow.evaluation.tuning.held_out import Dampings, fit_to_outputs
from reluflow.evaluation.tuning.options import TuningOptions
from reluflow.graph import Layer, Numbers
from reluflow.psb import decode, encode
from reluflow.psb.feedback import round_with_feedback
from reluflow.psb.fixed import GRID_BITS, grid_weights
from reluflow.psb.second_moments import InputMoments

_F64 = NDArray[np.float64]


def choose_numbers(
    layer: Layer, moments: InputMoments, options: TuningOptions, dampings: Dampings
) -> Numbers:
    """Return weights that are PSB codes, and a bias, for a layer of the float model.

    With z the layer's inputs in the float model, x those in the quantised one, and r what a skip
    connection added to its output lacks there, `follow` fits W z + r by W' x,

        W' = (W (E[z x^T] + d 1) + E[r x^T]) (E[x x^T] + d 1)^-1,

    `feedback` rounds W' by the second moments of x, and `correct_bias` adds the mean that is
    still missing. Since it does, moments are then those around the means.

    Args:
        layer: of the float model.
        moments: of its inputs.
        options: which of the steps are done.
        dampings: d of both, as shares of the mean second moment.

    Returns:
        Weights that `encode` with the same bits keeps, and the bias.
    """
    groups, k = moments.mean.shape
    rows = layer.weights.astype(np.float64).reshape(groups, -1, k)
    p_bits = options.node_bits.get(layer.name, options.p_bits)
    known = moments.has_products
    target = rows
    if options.follow and known:
        target = fit_to_outputs(rows, moments, dampings.follow, centred=options.correct_bias)
    shaped = target.reshape(layer.weights.shape)
    if options.feedback and known:
        v = round_with_feedback(
            shaped,
            moments.second(centred=options.correct_bias),
            p_bits=p_bits,
            grid=options.grid,
            damping=dampings.feedback,
        )
    else:
        v = decode(encode(shaped.astype(np.float32), p_bits=p_bits))
    if not options.correct_bias:
        return Numbers(v, layer.bias)
    used = _on_grid(v, p_bits) if options.grid else v.astype(np.float64)
    return Numbers(v, layer.bias + _missing(rows, used, moments))


def plain_numbers(layer: Layer, p_bits: int) -> Numbers:
    """Return the nearest codes of a layer's weights, and its own bias.

    Args:
        layer: of the float model.
        p_bits: stored bits of a probability.
    """
    return Numbers(decode(encode(layer.weights, p_bits=p_bits)), layer.bias)


def _on_grid(v: NDArray[np.float32], p_bits: int) -> _F64:
    """Return what nearest mode on the 8-bit grid multiplies by."""
    code = encode(v, p_bits=p_bits)
    unit = code.emax.astype(np.float64) - GRID_BITS
    steps: _F64 = grid_weights(code, 0) * 2.0 ** unit.reshape(-1, *[1] * (v.ndim - 1))
    return steps


def _missing(rows: _F64, used: _F64, moments: InputMoments) -> _F64:
    """Return the mean of each output in the float model, less that in the quantised one."""
    was = np.einsum("gmk,gk->gm", rows, moments.exact_mean) + moments.beside_mean
    now = np.einsum("gmk,gk->gm", used.reshape(rows.shape), moments.mean)
    missing: _F64 = (was - now).reshape(-1)
    return missing

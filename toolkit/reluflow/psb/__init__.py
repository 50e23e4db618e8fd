"""The PSB number system: weight code, sampling, and the exact meaning of the operators."""

from reluflow.psb._check import MAX_SAMPLES, P_BITS, SAMPLERS, SAMPLES, X_BITS_RANGE
from reluflow.psb.activation import MAX_EXPONENT, activation_exponent, quantise_activation
from reluflow.psb.codec import (
    LARGEST_NIBBLE,
    N_PLANES_BESIDE_P,
    NIBBLE_BITS,
    PsbCode,
    decode,
    encode,
)
from reluflow.psb.moments import weight_mean, weight_variance
from reluflow.psb.packing import bits_per_weight, pack, unpack
from reluflow.psb.pruning import magnitude_mask
from reluflow.psb.random_bits import node_key, random_bits32
from reluflow.psb.reference import conv, matmul
from reluflow.psb.sampling import SCALE_BITS, draw_bits, draws, integer_weights, sampled_weights
from reluflow.psb.shift_add import shift_add_dot, shift_adds

__all__ = [
    "LARGEST_NIBBLE",
    "MAX_EXPONENT",
    "MAX_SAMPLES",
    "NIBBLE_BITS",
    "N_PLANES_BESIDE_P",
    "P_BITS",
    "SAMPLERS",
    "SAMPLES",
    "SCALE_BITS",
    "X_BITS_RANGE",
    "PsbCode",
    "activation_exponent",
    "bits_per_weight",
    "conv",
    "decode",
    "draw_bits",
    "draws",
    "encode",
    "integer_weights",
    "magnitude_mask",
    "matmul",
    "node_key",
    "pack",
    "quantise_activation",
    "random_bits32",
    "sampled_weights",
    "shift_add_dot",
    "shift_adds",
    "unpack",
    "weight_mean",
    "weight_variance",
]

"""`PsbOptions`: the settings of a conversion to shift-adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral

from reluflow.errors import OptionError
from reluflow.psb import MAX_EXPONENT, MAX_SAMPLES, P_BITS, SAMPLERS, X_BITS_RANGE


@dataclass(frozen=True, slots=True)
class PsbOptions:
    """Options of `to_psb`.

    Attributes:
        p_bits: stored bits of a probability: 1, 2, 3, 4, 6, 8 or 16.
        sampler: "systematic", "binomial" or "nearest".
        draws: "run" (one draw of a weight is used at all positions) or "product".
        prune: share of the weights that become 0, in [0, 1).
        prune_scope: "tensor" or "global".
        x_bits: bits of a fixed-point activation, 2 to 16.
        x_exponents: tensor -> f, from `reluflow.evaluation.calibrate`; a tensor that is not
            among them gets its exponent from each run.
        rounding: what happens to bits that a run would shift out of small weights: "carried" to the
            next ones, so that every mean is exact, or rounded "half" up, as in older files.
        small_weights: weights more than 14 octaves below their channel's largest become
            "zero", the "smallest" code, or either at "random" without bias.
        per_tensor: all channels share one exponent.
        seed: of small_weights = "random".
        exclude: names of nodes that stay in floating point.
        fuse: fuse additions of two tensors of the same shape, Relu, and Clip with constant bounds
            into the operator before them.
        norms: turn batch normalisation that cannot be folded into PSB multiply-adds.
        input_defaults: the inputs `samples` and `seed` have the default 0; False: every run has to
            give both, as onnxruntime-web requires.
        node_bits: name of a node -> its own bits of a probability instead of `p_bits`, and as many
            times the samples as these take more or fewer.

    Example:
        >>> options = PsbOptions(p_bits=6, prune=0.5)
        >>> options.sampler, options.x_bits
        ('systematic', 12)
    """

    p_bits: int = 4
    sampler: str = "systematic"
    draws: str = "run"
    rounding: str = "carried"
    prune: float = 0.0
    prune_scope: str = "tensor"
    x_bits: int = 12
    x_exponents: Mapping[str, int] = field(default_factory=dict)
    small_weights: str = "zero"
    per_tensor: bool = False
    seed: int = 0
    exclude: tuple[str, ...] = ()
    fuse: bool = True
    norms: bool = True
    input_defaults: bool = True
    node_bits: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _one_of("p_bits", self.p_bits, P_BITS)
        for name, bits in self.node_bits.items():
            _one_of(f"node_bits[{name!r}]", bits, P_BITS)
        _one_of("sampler", self.sampler, SAMPLERS)
        _one_of("draws", self.draws, ("run", "product"))
        _one_of("rounding", self.rounding, ("carried", "half"))
        _one_of("prune_scope", self.prune_scope, ("tensor", "global"))
        _one_of("small_weights", self.small_weights, ("zero", "smallest", "random"))
        if not 0 <= self.prune < 1:
            raise OptionError(f"prune is {self.prune!r}; give a share of at least 0 and below 1.")
        if not isinstance(self.seed, Integral) or self.seed < 0:
            raise OptionError(f"seed is {self.seed!r}; give a whole number of at least 0.")
        low, high = X_BITS_RANGE
        if not isinstance(self.x_bits, Integral) or not low <= self.x_bits <= high:
            raise OptionError(
                f"x_bits is {self.x_bits!r}; give a whole number from {low} to {high}."
            )
        for tensor, f in self.x_exponents.items():
            if not -MAX_EXPONENT <= f <= MAX_EXPONENT:
                raise OptionError(
                    f"x_exponents[{tensor!r}] is {f!r}; give whole numbers from -100 to 100."
                )

    def bits_of(self, name: str) -> int:
        """Return the stored bits of a node's probabilities.

        Args:
            name: of the node.

        Example:
            >>> PsbOptions(node_bits={"first": 6}).bits_of("first"), PsbOptions().bits_of("first")
            (6, 4)
        """
        return self.node_bits.get(name, self.p_bits)

    def factor_of(self, name: str) -> float:
        """Return how many times as many samples as the run a node draws.

        Args:
            name: of the node.

        Example:
            >>> options = PsbOptions(node_bits={"first": 6, "second": 3})
            >>> [options.factor_of(name) for name in ("first", "second", "third")]
            [4.0, 0.5, 1.0]
        """
        return min(2.0 ** (self.bits_of(name) - self.p_bits), float(MAX_SAMPLES))


def _one_of(name: str, value: object, accepted: tuple[object, ...]) -> None:
    if value not in accepted:
        listed = ", ".join(map(repr, accepted))
        raise OptionError(f"{name} is {value!r}; accepted are {listed}.")

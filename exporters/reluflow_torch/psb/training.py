"""Training of any model with the weights that shift-adds draw."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrize

from reluflow.errors import ModelError, OptionError
from reluflow.graph import Model, PsbOptions, psb_in_floats, read_program
from reluflow.psb import PsbCode, decode, encode
from reluflow_torch.psb.drawing import check_drawing
from reluflow_torch.psb.pairs import find_products
from reluflow_torch.psb.weights import DrawnWeight, Settings, affine_of
from reluflow_torch.sites.unwrap import eager_module


class PsbTraining:
    """Lets a model run on drawn weights, with gradients straight through to those behind.

    From here on, each forward pass draws the weights of every Linear, Conv1d and Conv2d as one run
    of a converted model does; in evaluation mode too. Loss, optimiser, schedule and the model's
    code stay as they are: the parameters are the same objects, so that a float network is tuned as
    well as a new one trained. A batch normalisation that directly follows a product is part of
    its stored weights, as it is of those of a conversion: by running statistics, while training
    normalises by those of the batch as ever. Inputs of products are not rounded here; operators
    round them to 12 bits or more.

    Args:
        model: changed in place, by `torch.nn.utils.parametrize`. Wrap it before `torch.compile`
            and DistributedDataParallel.
        inputs: a batch as the model takes it, or a tuple of its inputs; the model runs on it once,
            to see which normalisation follows which product.
        samples: n, one of 1, 2, 4, ..., 64; 0 is nearest mode.
        p_bits: stored bits of a probability, as they will be converted.
        sampler: "systematic", "binomial" (the thesis) or "nearest"; None: as tools choose, nearest
            below 4 samples and systematic from there on.
        exclude: names of layers that stay in floating point.
        seed: of the draws; they leave torch's own random numbers alone.

    Attributes:
        left_out: name of a layer that stays in floating point -> why.

    Raises:
        OptionError: an option is not accepted, no layer is left, or the model draws already.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
        >>> x = torch.randn(16, 4)
        >>> psb = PsbTraining(model, x, samples=4)
        >>> psb.layers, psb.left_out
        ({'0': '1', '3': None}, {})
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> model(x).square().mean().backward()
        >>> optimizer.step()
        >>> psb.samples = 0  # nearest mode: the mean weights, but for bits of small ones
        >>> bool(torch.allclose(model.eval()(x), psb.folded()(x), atol=1e-3))
        True
        >>> psb.codes()["3"].shape, psb.options.p_bits
        ((2, 8), 4)
        >>> psb.remove()
        >>> [name for name, _ in model.named_parameters()][:2]
        ['0.weight', '0.bias']

    Reference: thesis 4.2.2.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Any,
        samples: int = 4,
        *,
        p_bits: int = 4,
        sampler: str | None = None,
        exclude: Collection[str] = (),
        seed: int = 0,
    ) -> None:
        self._settings = Settings(samples, p_bits, sampler, seed)
        check_drawing(samples, p_bits, self._settings.drawn_by)
        self._model = model = eager_module(model)
        if any(isinstance(module, DrawnWeight) for module in model.modules()):
            raise OptionError("model draws its weights already; call `remove` of its PsbTraining.")
        found = find_products(model, inputs if isinstance(inputs, tuple) else (inputs,))
        unknown = sorted(set(exclude) - found.norms.keys())
        if unknown:
            raise OptionError(
                f"exclude names {', '.join(map(repr, unknown))}, which no layer to be trained is; "
                f"give some of {', '.join(map(repr, found.norms))}."
            )
        self._norms = {name: at for name, at in found.norms.items() if name not in exclude}
        if not self._norms:
            raise OptionError(
                "model has no Linear, Conv1d or Conv2d to draw the weights of; give one that runs "
                "such layers, and exclude fewer."
            )
        self.left_out = found.left_out | {name: "it is excluded" for name in exclude}
        _check_plain(model, self._norms)
        for number, (name, norm) in enumerate(self._norms.items()):
            at = None if norm is None else cast(_BatchNorm, model.get_submodule(norm))
            draw = DrawnWeight(self._settings, number, at)
            parametrize.register_parametrization(
                model.get_submodule(name), "weight", draw, unsafe=True
            )

    @property
    def layers(self) -> Mapping[str, str | None]:
        """Name of each layer that draws -> that of the normalisation stored with it, or None."""
        return dict(self._norms)

    @property
    def samples(self) -> int:
        """Number of samples of the next forward passes; set it to train or measure at another."""
        return self._settings.samples

    @samples.setter
    def samples(self, samples: int) -> None:
        check_drawing(samples, self._settings.p_bits, self._settings.drawn_by)
        self._settings.samples = samples

    @property
    def sampler(self) -> str:
        """The sampler of the next forward passes; set it to measure another, or None."""
        return self._settings.drawn_by

    @sampler.setter
    def sampler(self, sampler: str | None) -> None:
        check_drawing(self.samples, self._settings.p_bits, sampler or "nearest")
        self._settings.sampler = sampler

    @property
    def options(self) -> PsbOptions:
        """The options with which `reluflow.convert` keeps what was trained.

        The sampler is the one in use; where it follows the number of samples, set that first.
        """
        return PsbOptions(p_bits=self._settings.p_bits, sampler=self.sampler)

    def codes(self) -> dict[str, PsbCode]:
        """Return the code (s, e, p) of each layer's weights, as a converted file stores it.

        Normalisations are part of it by their running statistics.
        """
        found = {}
        for name in self._norms:
            draw, weight = _draw_of(self._model, name)
            stored = draw.stored(weight).cpu().numpy()
            found[name] = encode(stored, p_bits=self._settings.p_bits)
        return found

    def folded(self) -> nn.Module:
        """Return a plain copy for export: mean weights of the codes, normalisation folded.

        It is in evaluation mode. What `reluflow.convert` makes of its ONNX file, with `options`,
        draws from exactly the trained codes; `check_file` compares them.
        """
        made = copy.deepcopy(self._model)
        for (name, norm), code in zip(self._norms.items(), self.codes().values(), strict=True):
            layer = cast("nn.Linear | nn.Conv1d | nn.Conv2d", made.get_submodule(name))
            weight = _make_plain(layer)
            layer.weight = nn.Parameter(torch.from_numpy(decode(code)).to(weight))
            if norm is not None:
                factor, shift = affine_of(cast(_BatchNorm, made.get_submodule(norm)))
                if layer.bias is not None:
                    shift = shift + layer.bias.detach().double() * factor
                layer.bias = nn.Parameter(shift.to(weight))
                parent, _, last = norm.rpartition(".")
                setattr(made.get_submodule(parent), last, nn.Identity())
        return made.eval()

    def check_file(self, model: Model) -> None:
        """Refuse a converted model that does not draw from the trained codes.

        Args:
            model: as `reluflow.graph.load` reads what `reluflow.convert` wrote.

        Raises:
            ModelError: the codes of a layer are not in it.

        Example:
            >>> import onnx.parser, reluflow
            >>> layer = nn.Linear(2, 2, bias=False)
            >>> _ = layer.weight.data.copy_(torch.tensor([[1.0, 1.5], [-3.0, 0.0]]))
            >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
            ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1, 1.5, -3, 0}>
            ...     { y = Gemm <transB = 1> (x, w) }''')
            >>> psb = PsbTraining(layer, torch.ones(1, 2))
            >>> psb.check_file(reluflow.convert(proto, options=psb.options).model)
        """
        stored = read_program(psb_in_floats(model).model).constants.values()
        for name, code in self.codes().items():
            mean = decode(code)
            if not any(_same(mean, array) for array in stored):
                raise ModelError(
                    f"the model does not draw from the trained weights of {name!r}; export "
                    "`folded()` and convert it with `options`, without tuning or pruning."
                )

    def remove(self) -> None:
        """Give the model its float weights back; it no longer draws."""
        for name in self._norms:
            _make_plain(self._model.get_submodule(name))
        self._norms = {}


def _draw_of(model: nn.Module, name: str) -> tuple[DrawnWeight, Tensor]:
    """Return the parametrisation of a layer's weight and the float weight behind it."""
    listed = cast(Any, model.get_submodule(name)).parametrizations.weight
    return listed[0], listed.original


def _make_plain(layer: nn.Module) -> nn.Parameter:
    """Give a layer its float weight and its class back.

    `remove_parametrizations` would change the class, which deep copies of the layer share.
    """
    parts = cast(Any, layer)
    weight: nn.Parameter = parts.parametrizations.weight.original
    del parts.parametrizations
    parts.__class__ = type(layer).__bases__[0]
    others = dict(layer._parameters)
    layer._parameters.clear()
    layer._parameters.update({"weight": weight, **others})  # in the order of a new layer
    return weight


def _check_plain(model: nn.Module, names: Collection[str]) -> None:
    for name in names:
        layer = model.get_submodule(name)
        if parametrize.is_parametrized(layer) or "weight" not in layer._parameters:
            raise OptionError(
                f"{name!r} is parametrised, as by weight_norm; "
                "remove that first, or name the layer in exclude."
            )


def _same(mean: NDArray[np.float32], stored: NDArray[Any]) -> bool:
    """Tell whether a file stores these weights; those of a MatMul are transposed."""
    both = (stored, stored.T) if mean.ndim == 2 else (stored,)
    return any(np.array_equal(mean, each) for each in both)

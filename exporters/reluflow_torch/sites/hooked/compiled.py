"""Capture patterns in a compiled graph of the model, with the reading of all sites inside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from reluflow_torch.sites.bits import above_threshold, switch_bits
from reluflow_torch.sites.hooked.capture import HookedSites
from reluflow_torch.sites.patterns import Patterns, Site
from reluflow_torch.sites.pixels import sample_units, spread_at

Compile = Callable[..., Callable[..., Any]]
Found = list[tuple[str, float, int, Tensor]]


class CompiledSites:
    """Runs a model and reads its sites in one graph, made from the first inputs it is given.

    Hooks on the modules that are switches are traced with the model, so that the graph returns the
    samples of all sites and computes nothing behind the last. The graph of the training is
    another one and stays as it is.

    Args:
        model: whose graph is made; compiled in place or not.
        hooked: tells what is hooked, and the names of the sites.
        compile: such as `torch.compile`.

    Attributes:
        error: why no graph could be made, None where nothing has failed.
    """

    def __init__(self, model: nn.Module, hooked: HookedSites, compile: Compile) -> None:
        self.error: Exception | None = None
        self._model = model
        self._hooked = hooked
        self._compile = compile
        self._made: Callable[..., Found] | None = None
        self._inputs: tuple[Any, ...] = ()
        self._hooks: list[tuple[nn.Module, Callable[..., None]]] = []
        self._found: Found = []
        self._calls: dict[str, int] = {}

    def takes(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], max_samples: int, casting: Any
    ) -> bool:
        """Tell whether the graph is for such inputs; the first ones decide which it is for.

        Args:
            args: positional arguments of the model.
            kwargs: its keyword arguments.
            max_samples: bound on the samples per site.
            casting: anything else that must be the same.
        """
        if self.error is not None or not self._hooked.is_ready:
            return False
        values = [*args, *kwargs.values()]
        inputs = (
            *(_kind_of(value) for value in values),
            *kwargs,
            max_samples,
            casting,
            self._model.training,
        )
        self._inputs = self._inputs or inputs
        return inputs == self._inputs

    def patterns(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        max_samples: int,
        *,
        values: bool = False,
    ) -> Patterns | None:
        """Run the graph and return the patterns of all sites.

        Args:
            args: positional arguments of the model, as `takes` has accepted them.
            kwargs: its keyword arguments.
            max_samples: bound on the samples per site.
            values: whether to keep the pre-activations too.

        Returns:
            The patterns; None where no graph can be made of the model (see `error`), or where it
            took a new path.
        """
        with ExitStack() as stack:
            try:
                if self._made is None:
                    torch.compiler.assume_constant_result(spread_at)  # type: ignore[no-untyped-call]
                    self._hooks = [
                        self._hook(*each, max_samples) for each in self._hooked.modules()
                    ]
                    self._made = self._compile(self._run, fullgraph=True, dynamic=False)
                for module, hook in self._hooks:
                    stack.callback(module.register_forward_pre_hook(hook).remove)
                found = self._made(*args, **kwargs)
            except Exception as error:  # of a compiler anything may come
                self.error = error
                return None
            finally:
                self._found = []
        return self._hooked.named([_site(*each, with_values=values) for each in found])

    def _run(self, *args: Any, **kwargs: Any) -> Found:
        """Run the model and return what the hooks have read; this is compiled."""
        self._found, self._calls = [], {}
        if self._model._compiled_call_impl is None:
            self._model(*args, **kwargs)
        else:
            self._model._call_impl(*args, **kwargs)  # type: ignore[no-untyped-call]
        return self._found

    def _hook(
        self, path: str, module: nn.Module, threshold: float, max_samples: int
    ) -> tuple[nn.Module, Callable[..., None]]:
        def read(module: nn.Module, args: tuple[Any, ...]) -> None:
            x = args[0]
            call = self._calls.get(path, 0)
            self._calls[path] = call + 1
            samples = sample_units(x.detach(), self._hooked.axis(path, call, x), max_samples)
            # A copy, which the compiler leaves out unless the switch writes over its input.
            population = x.numel() // samples.shape[1]
            self._found.append((path, threshold, population, samples.clone()))

        return module, read


def _kind_of(value: Any) -> Any:
    """Return all that a graph depends on: of tensors not the values, of the rest the value."""
    if isinstance(value, Tensor):
        return value.shape, value.stride(), value.dtype, value.device
    return value if isinstance(value, int | float | str | None) else id(value)


def _site(
    path: str, threshold: float, population: int, samples: Tensor, *, with_values: bool
) -> Site:
    bits, nans = switch_bits(samples, threshold)
    values = above_threshold(samples, threshold, is_fresh=True) if with_values else None
    return Site(path, "", bits, nans, population, values)

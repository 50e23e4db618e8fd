"""Capture patterns by hooks, without a mode that sees every operator of the pass."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils.hooks import RemovableHandle

from reluflow_torch.sites.hooked.switches import switches_of
from reluflow_torch.sites.patterns import Look, Part, Patterns, Seen, Site, SiteNames, read_site

LOOK_AGAIN = 64
"""Captures by hooks between two looks at every operator, in case the model has changed its ways."""


class HookedSites:
    """Decides whether hooks see all sites of a model, and captures by them.

    A `PatternCapture` looks first. Where all sites it finds are calls of modules such as `nn.ReLU`,
    hooks on these modules capture the same at a fraction of the cost. Where a function is a switch,
    as with `torch.relu`, every pass needs the mode. The modules that a pass calls tell its path
    through the model: one not looked at before is looked at again, as is every 64th pass.

    Args:
        model: whose modules are hooked.
        names: shared with the captures that look.
        smooth: whether smooth activations are sites too.
    """

    def __init__(self, model: nn.Module, names: SiteNames, *, smooth: bool) -> None:
        self._model = model
        self._names = names
        self._smooth = smooth
        self._plans: dict[tuple[str, ...], tuple[Seen, ...]] = {}
        self._axes: dict[tuple[str, int], int] = {}
        self._since_look = 0
        self._are_all_seen = True
        names.on_look = self._learn

    def capture(
        self, max_samples: int, *, values: bool = False, part: Part | None = None
    ) -> HookCapture | None:
        """Return a context that captures the patterns of one pass; None where it needs a look.

        Args:
            max_samples: bound on the samples per site.
            values: whether to keep the pre-activations too.
            part: which examples of the batch to read; None: all.
        """
        if not self.is_ready:
            return None
        self._since_look += 1
        if self._since_look > LOOK_AGAIN:
            self._names.are_wanted = True
            return None
        return HookCapture(self, max_samples, values=values, part=part)

    @property
    def is_ready(self) -> bool:
        """Whether hooks see all sites, as far as a first look has shown."""
        return self._are_all_seen and bool(self._plans) and not self._names.are_wanted

    @property
    def are_all_seen(self) -> bool:
        """Whether no look has found a site that hooks do not see."""
        return self._are_all_seen

    def modules(self) -> list[tuple[str, nn.Module, float]]:
        """Return path, module and threshold of the modules to hook."""
        return [*switches_of(self._model, smooth=self._smooth)]

    def axis(self, path: str, call: int, x: Tensor) -> int:
        """Return the axis of the units of a site, see `sample_units`."""
        return self._axes.get((path, call), 1 if x.dim() > 2 else -1)

    def named(self, sites: list[Site]) -> Patterns | None:
        """Return the sites of a pass under their names; None where it took a new path."""
        plan = self._plans.get(tuple(site.name for site in sites))
        if plan is None:
            self._names.are_wanted = True
            return None
        return Patterns(
            site.named(seen.name, seen.layer, seen.op)
            for site, seen in zip(sites, plan, strict=True)
        )

    def refuse(self) -> None:
        """Leave the model to the mode: a module was called in a way that a hook cannot read."""
        self._are_all_seen = False
        self._names.are_wanted = True

    def _learn(self, look: Look) -> None:
        self._since_look = 0
        self._are_all_seen = self._are_all_seen and self._sees_all(look)
        if not self._are_all_seen:
            return
        self._plans[tuple(seen.base for seen in look.sites)] = look.sites
        calls: dict[str, int] = {}
        for seen in look.sites:
            self._axes[seen.base, calls.setdefault(seen.base, 0)] = seen.axis
            calls[seen.base] += 1

    def _sees_all(self, look: Look) -> bool:
        """Tell whether the sites are the calls of the modules, one by one."""
        hooked = {path for path, _, _ in self.modules()}
        return bool(look.sites) and [seen.base for seen in look.sites] == [
            path for path in look.called if path in hooked
        ]


class HookCapture:
    """Captures the patterns of one pass; replaces a `PatternCapture`.

    Args:
        hooked: the sites.
        max_samples: bound on the samples per site.
        values: whether to keep the pre-activations too.
        part: which examples of the batch to read; None: all.
    """

    def __init__(
        self, hooked: HookedSites, max_samples: int, *, values: bool, part: Part | None = None
    ) -> None:
        self._hooked = hooked
        self._max_samples = max_samples
        self._with_values = values
        self._part = part
        self._sites: list[Site] = []
        self._calls: dict[str, int] = {}
        self._is_read = True
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> HookCapture:
        for path, module, threshold in self._hooked.modules():
            # The output of a ReLU tells its bits at less cost, where no one else changes it.
            if type(module) is nn.ReLU and not self._with_values and not module._forward_hooks:
                self._handles.append(self._after(path, module))
            else:
                self._handles.append(self._before(path, module, threshold))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def take(self) -> Patterns | None:
        """Return what was captured; None where the pass must be looked at operator by operator."""
        if not self._is_read:
            self._hooked.refuse()
            return None
        return self._hooked.named(self._sites)

    def _after(self, path: str, module: nn.Module) -> RemovableHandle:
        def note(module: nn.Module, args: Any, result: Any) -> None:
            self._keep(path, result, 0.0, is_switched=True)

        return module.register_forward_hook(note)

    def _before(self, path: str, module: nn.Module, threshold: float) -> RemovableHandle:
        def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            x = args[0] if args else kwargs.get("input")
            self._keep(path, x, threshold, is_switched=False)

        return module.register_forward_pre_hook(note, with_kwargs=True)

    def _keep(self, path: str, x: Any, threshold: float, *, is_switched: bool) -> None:
        # Inside vmap and grad of torch.func a tensor stands for many: only the mode sees these.
        is_plain = type(x) is Tensor or type(x) is nn.Parameter
        if not is_plain or torch._C._functorch.is_functorch_wrapped_tensor(x):
            self._is_read = False
            return
        if x.dim() == 0 or x.numel() == 0 or not x.is_floating_point():
            return
        if torch._C._len_torch_dispatch_stack():  # someone watches the operators of the model
            with _disable_current_modes():
                self._read(path, x, threshold, is_switched=is_switched)
        else:
            self._read(path, x, threshold, is_switched=is_switched)

    def _read(self, path: str, x: Tensor, threshold: float, *, is_switched: bool) -> None:
        call = self._calls.get(path, 0)
        self._calls[path] = call + 1
        self._sites.append(
            read_site(
                path,
                "",
                x,
                self._hooked.axis(path, call, x),
                self._max_samples,
                threshold,
                is_switched=is_switched,
                with_values=self._with_values,
                part=self._part,
            )
        )

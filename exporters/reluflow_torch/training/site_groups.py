"""Parameter groups by switch site, and their rates where each follows its own site."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from reluflow.errors import OptionError
from reluflow.temperature import ActCool, CrossingCool, SiteRates
from reluflow_torch.sites.patterns import Patterns
from reluflow_torch.training.probe import Batch, Pass, StepProbe, device_of, no_site_text
from reluflow_torch.training.state.snapshot import TensorStore

SITE = "site"
"""Key of a parameter group that names its site; None: its rate is that of the network."""
_NOISE = 0.1
"""Of the size of a weight: enough to be told from rounding, too little to put all units off."""


def site_groups(
    model: nn.Module, *inputs: Any, smooth: bool | None = None, seed: int = 0
) -> list[dict[str, Any]]:
    """Return parameter groups for an optimiser, one per switch site.

    A weight belongs to the first site, in the order in which they run, whose pre-activations it
    changes: that of its own layer, and with a shortcut that of the sum. It is found by trial, with
    one forward pass per tensor of weights; all is put back.

    Args:
        model: in the mode in which it is trained.
        inputs: positional arguments of the model, of a few examples.
        smooth: whether GELU, SiLU and their like are sites, as in `ActCoolLR`.
        seed: of the changes that are tried.

    Returns:
        Groups `{"params": [...], "site": name}` in the order of the sites; those that change no
        site, such as a classifier's, come last with the site None, and follow the network's rate.

    Raises:
        OptionError: the model runs no switch, or has no weight that is trained.

    Example:
        >>> from reluflow.temperature import CrossingOptions
        >>> from reluflow_torch import ActCoolLR
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU())
        >>> model.append(nn.Linear(8, 2))[0].in_features
        4
        >>> groups = site_groups(model, torch.randn(16, 4))
        >>> [(group["site"], len(group["params"])) for group in groups]
        [('1', 2), ('3', 2), (None, 2)]
        >>> optimizer = torch.optim.SGD(groups, lr=0.01)
        >>> scheduler = ActCoolLR(
        ...     optimizer, model, 100, options=CrossingOptions(), site_span=4.0)

    Reference: thesis 5.4; docs/temperature.md, "A rate for every site".
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if not weights:
        raise OptionError(
            f"model {type(model).__name__} has no weight with requires_grad; give one that is "
            "trained."
        )
    probe = StepProbe(model, torch.optim.SGD(weights, lr=0.1), smooth=smooth)
    batch = Batch.now(inputs, {}, device_of(model))
    one = Pass(batch, random=probe.random_state())
    probe.look([one])
    if not one.patterns:
        raise OptionError(no_site_text(probe))
    members: dict[str | None, list[Tensor]] = {name: [] for name in [*one.patterns, None]}
    for weight, site in zip(weights, _first_sites(probe, one, weights, seed), strict=True):
        members[site].append(weight)
    return [{"params": found, SITE: site} for site, found in members.items() if found]


def _first_sites(
    probe: StepProbe, one: Pass, weights: Sequence[Tensor], seed: int
) -> list[str | None]:
    """Return for each weight the first site that it changes."""
    found = []
    generator = torch.Generator().manual_seed(seed)
    kept = TensorStore()
    kept.save([weight.detach() for weight in weights])
    try:
        # A weight that starts at 0, as the last scale of a branch may, would hide those before it.
        for weight in weights:
            _shake(weight, generator)
        base = probe.patterns(one.batch, one.random, values=True)
        for weight in weights:
            was = weight.detach().clone()
            _shake(weight, generator)
            after = probe.patterns(one.batch, one.random, values=True)
            found.append(_first_changed(base, after))
            with torch.no_grad():
                weight.copy_(was)
    finally:
        kept.restore()
    return found


@torch.no_grad()
def _shake(weight: Tensor, generator: torch.Generator) -> None:
    noise = torch.randn(weight.shape, generator=generator).to(weight)
    size = weight.square().mean().sqrt()
    weight.add_(noise * torch.where(size > 0, size, torch.ones_like(size)) * _NOISE)


def _first_changed(before: Patterns, after: Patterns) -> str | None:
    for name, site in before.items():
        other = after[name].values if name in after else None
        assert site.values is not None
        if other is None or not torch.equal(site.values.nan_to_num(), other.nan_to_num()):
            return name
    return None


class GroupRates:
    """Lets the ratio of each parameter group follow its site.

    Args:
        span: see `SiteRates`; 1: the ratios stay as they are.
        optimizer: whose groups name their sites.
        controller: that decides the rate of the network.

    Attributes:
        rates: the factors of the sites; None where the span is 1.

    Raises:
        OptionError: a bad span; a controller without curves; groups without sites.
    """

    def __init__(
        self, span: float, optimizer: Optimizer, controller: ActCool | CrossingCool
    ) -> None:
        self._groups = optimizer.param_groups
        names = [group[SITE] for group in self._groups if group.get(SITE) is not None]
        rates = SiteRates(span, names)
        self.rates = rates if span > 1.0 else None
        if self.rates is None:
            return
        if not isinstance(controller, CrossingCool):
            raise OptionError(
                f"site_span is {span}, but the fitted model has no curve for each site; give "
                "options=CrossingOptions() too."
            )
        if not names:
            raise OptionError(
                f"site_span is {span}, but none of the {len(self._groups)} param groups names a "
                "site; make them with site_groups(model, example)."
            )

    def follow(
        self, ratios: list[float], controller: ActCool | CrossingCool, frozen: Collection[str]
    ) -> None:
        """Move the ratios, in place, by what the controller has learnt of the sites.

        Args:
            ratios: of the groups.
            controller: after a probe.
            frozen: sites that no step changes, which have no curve.

        Raises:
            OptionError: a group names a site that the model does not run.
        """
        if self.rates is None or not isinstance(controller, CrossingCool):
            return
        curves, rate = controller.curves, controller.rate
        if curves is None or rate is None:
            return
        strange = sorted(self.rates.factors.keys() - {*curves, *frozen})
        if strange:
            raise OptionError(
                f"param groups name the sites {', '.join(strange)}, but the model runs "
                f"{', '.join(curves)}; make the groups with site_groups(model, example) of the "
                "model that is trained."
            )
        before = self.rates.factors
        after = self.rates.update(curves, rate, controller.options.mean)
        for number, group in enumerate(self._groups):
            site = group.get(SITE)
            if site in after:
                ratios[number] *= after[site] / before[site]

    def state(self) -> dict[str, float]:
        """Return the factors."""
        return {} if self.rates is None else dict(self.rates.factors)

    def load(self, state: dict[str, float]) -> None:
        """Take the factors of `state`; a state without any leaves those of now."""
        if self.rates is not None and state:
            self.rates.factors = dict(state)

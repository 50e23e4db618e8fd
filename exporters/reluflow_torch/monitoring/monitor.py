"""PatternMonitor: watch activation patterns during training without changing it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import distributed, nn
from torch.optim import Optimizer

from reluflow.errors import DataError, OptionError
from reluflow.monitoring import (
    MEAN,
    Due,
    KeptTables,
    Measures,
    Periods,
    SampleFlips,
    Strike,
    StrikeWatch,
    open_sinks,
    pass_on,
    step_measures,
    sweep_measures,
)
from reluflow.patterns import PatternRecorder
from reluflow.temperature import (
    DivergenceAlarm,
    PhaseDiagram,
    Sensitivity,
    SigmaWatch,
    StepDistance,
    default_rates,
    pooled,
    sweep,
    transition_width,
)
from reluflow.temperature.state import check_state
from reluflow_torch.monitoring.counting import (
    BATCH,
    STATISTICS,
    as_batches,
    copy_inputs,
)
from reluflow_torch.monitoring.flipping import mean_of, site_flips
from reluflow_torch.monitoring.on_data import DataMeasures, batch_flips
from reluflow_torch.monitoring.tensorboard import new_summary_writer
from reluflow_torch.sites.distance import distances
from reluflow_torch.sites.hooks import WeakHook
from reluflow_torch.sites.patterns import MAX_SAMPLES
from reluflow_torch.sites.unwrap import bare_optimizer, eager_module
from reluflow_torch.training.checks import check_pair
from reluflow_torch.training.closure import Closure, with_closure
from reluflow_torch.training.follow import TrainingPasses
from reluflow_torch.training.probe import Pass, StepProbe
from reluflow_torch.training.state.ranks import rank
from reluflow_torch.training.state.rates import rate_ratios, read_rates

SWEEP_RATES = 17
STATE_VERSION = 1


class PatternMonitor:
    """Record what training does to the activation patterns, without changing it bit for bit.

    Attach it once; the training loop stays as it is. Measurements are made at regular intervals of
    optimiser steps; each costs only forward passes:

    * every `every` steps, as many passes as the step consisted of: D, temperature and flipped units
      of the step just taken, per site and mean, on the batch that it was computed from, the
      learning rate, and whether the step struck: flipped far more than those before it;
    * every `measures_every` steps, one pass per batch of `data`, over all its samples: the number
      of patterns and its changes, entropy, most frequent pattern, Jaccard index with the start and
      with the previous measurement, dead and always-on units, load of the count table;
    * every `keep_every` steps the same, and the tables of counts are kept beside the recording, for
      the Jaccard index to the final state; the final state is measured when the monitor is closed;
    * every `flips_every` steps, two passes per batch of `data`: how many units of each of its
      samples the step flips, whatever batch it was computed from;
    * every `sweep_every` steps, one pass per rate: the sensitivity to the learning rate, from
      which `phase_diagram` is made and sigma is watched for divergence.

    With torch.distributed only rank 0 measures, so SyncBatchNorm, which waits for all ranks, is
    refused there.

    Args:
        optimizer: the training's; not LBFGS.
        model: the module that the training loop calls.
        every: steps between measurements of D, 0 for never, or a collection of the very steps, such
            as `reluflow.monitoring.log_steps(1000)`; so are the other four.
        measures_every: steps between pattern measures; 0: never.
        sweep_every: steps between sweeps; 0: never.
        keep_every: steps between pattern measures whose tables are kept; 0: never. Needs a
            recorder. A pattern takes 24 bytes.
        flips_every: steps between flips of the samples of `data`; 0: never.
        recorder: a `PatternRecorder`, or a directory for one (Parquet).
        tensorboard: a `SummaryWriter`, or a directory for one.
        wandb: a run of Weights & Biases, or True for the active one.
        data: one batch or a list of batches for the pattern measures: a tensor, a tuple of
            positional or a dict of keyword arguments, on the model's device. None: a copy
            of the first batch trained on.
        rates: learning rates of a sweep, increasing; 17 from 1e-6 to 1e2 by default. They
            count for the group with the highest rate; the others keep their ratio.
        watch: the divergence watch; None: one with default settings.
        on_alarm: called with each alarm; None: a `DivergenceWarning` is issued.
        statistics: of batch normalisation in the pattern measures: those of the measured "batch",
            as in training, or the "running" ones, as in inference. Dropout is off, buffers are
            restored. Each record has the choice as `batch_statistics`, 1 or 0.
        max_samples: bound on the samples per site of one pass for D and flips, at least one of each
            example; the pattern measures use all samples.
        strike_watch: finds the steps that strike; None: one with default settings.
        smooth: whether GELU, SiLU, ELU, Softplus and Mish count as switch sites; None: where the
            model runs no other switch, with a `SmoothWarning`.

    Attributes:
        step: number of optimiser steps seen.
        distances: what the latest measured step changed; None before the first.
        layers: name of each site seen so far -> path of the module that feeds it, such as `fc1`.
        folds: other folds at 0 seen so far, such as `x.abs()`: name -> operator; not counted.
        sweeps: `(step, rate in use, Sensitivity)` of each sweep.
        alarms: the alarms so far.
        watch: see above.
        strikes: the steps that struck so far.
        strike_watch: see above.
        batch_flips: of the latest measured step, for each of its passes, the share of the units of
            each example that it flipped, `(examples,)`; None for a pass whose inputs do not have
            one row per example.

    Raises:
        OptionError: an argument makes no sense, or a package that it needs is not installed.

    Example:
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> with PatternMonitor(optimizer, model, every=2, sweep_every=2) as monitor:
        ...     for _ in range(4):
        ...         optimizer.zero_grad()
        ...         model(torch.randn(32, 4)).square().mean().backward()
        ...         _ = optimizer.step()
        >>> monitor.step, [site.name for site in monitor.distances.sites]
        (4, ['1'])
        >>> monitor.phase_diagram().steps.tolist()
        [0, 2]
        >>> again = PatternMonitor(optimizer, model, every=2)
        >>> again.load_state_dict(monitor.state_dict())  # a resumed training
        >>> again.step
        4
        >>> again.close()

    Reference: docs/spec.md, section 3 and section 5; thesis 3.1.3, 3.2.2 to 3.2.4.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        model: nn.Module,
        *,
        every: Due = 10,
        measures_every: Due = 0,
        sweep_every: Due = 0,
        keep_every: Due = 0,
        flips_every: Due = 0,
        recorder: PatternRecorder | str | os.PathLike[str] | None = None,
        tensorboard: Any = None,
        wandb: Any = None,
        data: Any = None,
        rates: ArrayLike | None = None,
        watch: SigmaWatch | None = None,
        on_alarm: Callable[[DivergenceAlarm], None] | None = None,
        statistics: str = BATCH,
        max_samples: int = MAX_SAMPLES,
        smooth: bool | None = None,
        strike_watch: StrikeWatch | None = None,
    ) -> None:
        check_pair("PatternMonitor", optimizer, model)
        if statistics not in STATISTICS:
            raise OptionError(
                f"statistics is {statistics!r}; give 'batch' for batch normalisation as in "
                "training, or 'running' as in inference."
            )
        self._periods = Periods(every, measures_every, sweep_every, keep_every, flips_every)
        self.step = 0
        self.distances: StepDistance | None = None
        self.layers: dict[str, str] = {}
        self.folds: dict[str, str] = {}
        self.sweeps: list[tuple[int, float, Sensitivity]] = []
        self.alarms: list[DivergenceAlarm] = []
        self.watch = watch if watch is not None else SigmaWatch()
        self.strikes: list[Strike] = []
        self.strike_watch = strike_watch if strike_watch is not None else StrikeWatch()
        self.batch_flips: list[NDArray[np.float64] | None] = []
        self._on_alarm = on_alarm
        self._rates = default_rates(SWEEP_RATES, 1e-6, 1e2) if rates is None else rates
        self._optimizer = bare_optimizer(optimizer)
        self._model = eager_module(model)
        _check_ranks(self._model)
        self._folder = _folder(recorder, keep_every)
        self._data = DataMeasures(
            self._model,
            [] if data is None else as_batches(data),
            statistics=statistics,
            smooth=bool(smooth),
            max_samples=max_samples,
            kept=KeptTables(self._folder) if self._folder is not None and keep_every else None,
        )
        self._probe = StepProbe(
            self._model, self._optimizer, max_samples=max_samples, smooth=smooth
        )
        self._is_open = True
        self._swept: Sensitivity | None = None
        self._measured: Measures = {}
        self._looked: list[Pass] = []
        self._is_first = rank() == 0
        self._sinks = (
            open_sinks(recorder, tensorboard, wandb, new_summary_writer) if self._is_first else []
        )
        self._passes = TrainingPasses(model, self._probe, self._wants_anything)
        self._handles = [
            self._optimizer.register_step_pre_hook(WeakHook(self, "_before_step")),
            self._optimizer.register_step_post_hook(WeakHook(self, "_after_step")),
        ]

    @property
    def forward_passes(self) -> int:
        """Number of forward passes beyond those of the training, not counting pattern measures."""
        return self._probe.forward_passes

    @property
    def sample_flips(self) -> SampleFlips:
        """How often the units of each sample of `data` flipped; empty without `flips_every`."""
        return self._data.flips

    def phase_diagram(self) -> PhaseDiagram:
        """Return the sweeps so far as a phase diagram.

        Raises:
            DataError: no sweep was made.
        """
        if not self.sweeps:
            raise DataError(
                f"the monitor has made no sweep in {self.step} steps; set sweep_every to a number "
                "of steps that the training reaches."
            )
        steps, used, sweeps = zip(*self.sweeps, strict=True)
        return PhaseDiagram.from_sweeps(steps, sweeps, used)

    def _wants_anything(self) -> bool:
        return rank() == 0 and self._periods.wants_anything(self.step)

    def _before_step(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Sweep the rates, and measure patterns, while the weights are still the old ones."""
        self._looked = []
        if not self._wants_anything():
            return None
        given = with_closure(
            args, kwargs, lambda closure: Closure(closure, optimizer, self._model, self._look)
        )
        if given is not None:
            return given[1]
        self._look()
        return None

    def _look(self) -> None:
        """Record the patterns of the old weights, once the gradients of the step exist."""
        kept = self._passes.kept
        if not kept:
            raise DataError(
                "PatternMonitor has seen no forward pass of its model in train() mode and with "
                "gradients before optimizer.step(); give it the very module that the training "
                "loop calls, and compile or wrap that module first."
            )
        wants_sweep = self._periods.wants_sweep(self.step)
        if self._periods.wants_distance(self.step) or wants_sweep:
            self._probe.look(kept)
        self._probe.settle_smooth(kept)
        self._data.smooth = self._probe.smooth
        if self._periods.wants_distance(self.step) or wants_sweep:
            self._looked = [each for each in kept if each.patterns]
        for each in kept:
            if each.patterns is not None:
                self.layers |= {name: site.layer for name, site in each.patterns.items()}
                self.folds |= {fold.name: fold.op for fold in each.patterns.folds}
        self._look_at_data(kept[0])
        if wants_sweep and self._looked:
            self._sweep()

    def _sweep(self) -> None:
        self._probe.ratios = rate_ratios(read_rates(self._optimizer))
        with self._probe.measuring(passes=self._looked) as measure:
            self._swept = sweep(
                lambda rate: {site.name: site.distance for site in measure(rate).sites},
                self._rates,
            )

    def _look_at_data(self, seen: Pass) -> None:
        """Measure the data with the old weights; `seen` is taken where no data was given."""
        wants_measures = self._periods.wants_measures(self.step)
        if not (wants_measures or self._periods.wants_flips(self.step)):
            return
        if not self._data.batches:
            self._data.batches = [copy_inputs(seen.batch.args, seen.batch.kwargs)]
        self._data.see_mode()
        if wants_measures:
            keeps = self._periods.wants_tables(self.step)
            self._measured = self._data.measure(self.step, keeps=keeps)
        if self._periods.wants_flips(self.step):
            self._data.look()

    def _after_step(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Measure what the step has changed, and record everything."""
        whole: dict[str, float | int] = {"learning_rate": max(read_rates(self._optimizer))}
        rows, self._measured = self._measured, {}
        if self._looked and self._periods.wants_distance(self.step):
            mean, sites = self._compare(whole["learning_rate"])
            whole |= mean
            rows = _merged(sites, rows)
        if self._data.has_looked:
            whole["data_flip_fraction"], sites = self._data.compare()
            rows = _merged(rows, sites)
        if self._swept is not None:
            whole |= self._take_sweep(self._swept, whole["learning_rate"])
            self._swept = None
        if rows or len(whole) > 1:
            self._write(whole, rows)
        self._looked = []
        self._passes.forget()
        self.step += 1

    def _compare(self, rate: float) -> tuple[dict[str, float | int], Measures]:
        """Return what the step changed on its own batch: of the whole model, and by site."""
        states = [
            (each.patterns, self._probe.patterns(each.batch, each.random))
            for each in self._looked
            if each.patterns is not None
        ]
        self.distances = pooled([distances(*state) for state in states])
        whole, rows = step_measures(self.distances)
        shares = site_flips(states)
        batches = [(each.batch.args, each.batch.kwargs) for each in self._looked]
        self.batch_flips = batch_flips(states, batches)
        strike = self.strike_watch.observe(self.step, mean_of(shares), rate)
        if strike is not None:
            self.strikes.append(strike)
        whole |= {"flip_fraction": mean_of(shares), "strike": int(strike is not None)}
        return whole, _merged(rows, {name: {"flip_fraction": s} for name, s in shares.items()})

    def _write(self, whole: dict[str, float | int], rows: Measures) -> None:
        """Give the rows of a step to all sinks; each has the statistics that measures use."""
        choice = self._data.choice
        found = {MEAN: whole | choice, **{name: row | choice for name, row in rows.items()}}
        for sink in self._sinks:
            sink.write(self.step, found)

    def _take_sweep(self, found: Sensitivity, rate: float) -> dict[str, float | int]:
        """Keep a sweep, and check whether sigma rises."""
        self.sweeps.append((self.step, rate, found))
        alarm = self.watch.observe(self.step, transition_width(found))
        if alarm is not None:
            self.alarms.append(alarm)
            pass_on(alarm, self._on_alarm, stacklevel=2)
        return sweep_measures(found)

    def state_dict(self) -> dict[str, Any]:
        """Return step, watch, data and counts, so that a resumed monitor continues in the same way.

        Only tensors and plain values are included. Sweeps are not: save `phase_diagram` separately.
        Neither are data with other objects: pass the same data again.
        """
        return {
            "version": STATE_VERSION,
            "step": self.step,
            "watch": self.watch.to_dict(),
            "strike_watch": self.strike_watch.to_dict(),
            **self._data.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state.

        Args:
            state_dict: what `state_dict` returned.

        Raises:
            DataError: another version.
        """
        check_state("state_dict", state_dict, STATE_VERSION)
        self.step = state_dict["step"]
        self.watch = SigmaWatch.from_dict(state_dict["watch"])
        if "strike_watch" in state_dict:
            self.strike_watch = StrikeWatch.from_dict(state_dict["strike_watch"])
        self._data.load_state_dict(state_dict)

    def close(self, *, is_complete: bool = True) -> None:
        """Release model and optimiser, and save what was recorded.

        Args:
            is_complete: whether the weights are those that the training ends with. Where tables are
                kept, those of the final weights are measured and kept too, once.
        """
        for handle in self._handles:
            handle.remove()
        self._passes.close()
        if self._is_open and self._is_first:
            if is_complete and self._data.wants_final(self.step):
                self._write({}, self._data.measure(self.step, keeps=True))
            if self._folder is not None and self.sample_flips.steps:
                self.sample_flips.save(self._folder)
        self._is_open = False
        for sink in self._sinks:
            sink.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(is_complete=error is None)


def _merged(first: Measures, second: Measures) -> Measures:
    """Return the rows of both, those of a site as one; sites of the first come first."""
    names = dict.fromkeys([*first, *second])
    return {name: first.get(name, {}) | second.get(name, {}) for name in names}


def _folder(
    recorder: PatternRecorder | str | os.PathLike[str] | None, keep_every: Due
) -> Path | None:
    """Return the directory of a recording.

    Raises:
        OptionError: tables are to be kept, but there is none.
    """
    if recorder is None and keep_every:
        raise OptionError(
            f"keep_every is {keep_every}, but tables are kept beside a recording and recorder is "
            "None; give it a directory."
        )
    if recorder is None:
        return None
    return recorder.path if isinstance(recorder, PatternRecorder) else Path(recorder)


def _check_ranks(model: nn.Module) -> None:
    if not (distributed.is_available() and distributed.is_initialized()):
        return
    for name, module in model.named_modules():
        if isinstance(module, nn.SyncBatchNorm):
            raise OptionError(
                f"model has the SyncBatchNorm {name!r}, whose passes wait for all processes, but "
                "a PatternMonitor runs passes on rank 0 alone; use BatchNorm, or train without "
                "the monitor."
            )

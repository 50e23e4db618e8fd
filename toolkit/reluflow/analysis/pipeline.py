"""The analysis itself: batches through the tapped model, every tap hashed and counted."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import numpy as np

from reluflow.analysis.accumulate import SiteAccumulator
from reluflow.analysis.batching import choose_batch_size
from reluflow.analysis.checkpoint import Checkpoints
from reluflow.analysis.options import AnalysisOptions
from reluflow.data import DataSource
from reluflow.errors import ModelError, OutputError, ReluflowError
from reluflow.graph import Model, TapResult, find_sites, tap
from reluflow.patterns import PatternCounts, global_keys
from reluflow.runtime import default_threads, open_session

Progress = Callable[[str, int, int | None], None]
_SMALLEST_TABLE_BYTES = 2**18


class Interrupted(ReluflowError):
    """The analysis was stopped by the user; the message says what is kept."""

    exit_code = 130


class Pipeline:
    """One analysis: feeds batches, keeps every site's accumulator, writes checkpoints.

    Args:
        model: the model as loaded.
        source: its inputs.
        options: settings.
        spill_dir: where counting tables go that outgrow their memory.
        folder: working folder for checkpoints; None writes none.
        progress: called as progress(stage, inputs done, inputs in all or None).
    """

    def __init__(
        self,
        model: Model,
        source: DataSource,
        options: AnalysisOptions,
        spill_dir: Path,
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.model, self.source, self.options = model, source, options
        self.started = datetime.now().astimezone().isoformat(timespec="seconds")
        self.clock = time.perf_counter()
        self.threads = options.threads or default_threads()
        self.notes: list[str] = []
        self.done = 0
        self.seconds = {"loading": 0.0, "inference": 0.0}
        self.progress: Progress = progress or (lambda stage, done, total: None)
        tapped = tap_all(model, smooth=options.smooth)
        self.skipped = list(tapped.refused)
        self.outputs = tuple(dict.fromkeys(each.output for each in tapped.taps))
        self.batch_size = choose_batch_size(model, [t.site for t in tapped.taps], options)
        source.check_batch(self.batch_size)
        self.session = open_session(
            tapped.model,
            outputs=self.outputs,
            threads=self.threads,
            optimisation=options.optimisation,
        )
        identity = {
            "model": model.sha256,
            "data": source.description.fingerprint,
            "options": options.identity() | {"batch_size": self.batch_size},
        }
        self._spill_dir = spill_dir
        self.checkpoints = Checkpoints(folder, identity) if folder else None
        self.sites = [
            SiteAccumulator(each, options, self._counts(index, len(tapped.taps)))
            for index, each in enumerate(tapped.taps)
        ]
        self.global_counts = self._counts(len(self.sites), len(tapped.taps))
        self.global_reason = ""

    def run(self, *, resume: bool = False) -> None:
        """Analyse all inputs that are left.

        Args:
            resume: go on from the checkpoint in the working folder.

        Raises:
            Interrupted: Ctrl-C; a checkpoint was written where there is a working folder.
            ReluflowError: bad data, a failing model or an unwritable folder.
        """
        if self.checkpoints is not None:
            self._start(self.checkpoints, resume)
        with _stop_at_batch_end() as stop, ThreadPoolExecutor(self.threads) as pool:
            last = time.monotonic()
            for feeds in self.batches():
                self.step(feeds, pool)
                self.progress("analysing", self.done, self.source.n_samples)
                if stop.is_set():
                    self._interrupt()
                if time.monotonic() - last >= self.options.checkpoint_seconds:
                    self.save()
                    last = time.monotonic()
        if not self.done:
            raise ModelError("the data hold no sample; give at least one.")

    def save(self) -> None:
        """Write a checkpoint, where there is a working folder."""
        if self.checkpoints is not None:
            states = [site.state() for site in self.sites]
            extra = {"global_reason": self.global_reason, "notes": self.notes}
            tables = [site.counts for site in self.sites] + [self.global_counts]
            self.checkpoints.save(self.done, states, extra, tables)

    def _start(self, checkpoints: Checkpoints, resume: bool) -> None:
        if not resume:
            if checkpoints.exists():
                raise OutputError(
                    f"an interrupted analysis lies in {checkpoints.folder}; "
                    "go on with --resume, or delete the folder to start again."
                )
            checkpoints.prepare()
            return
        found = checkpoints.load()
        self.done = found.next_input
        for index, (site, state) in enumerate(zip(self.sites, found.sites, strict=True)):
            site.set_state(state)
            site.counts = self._counts(index, len(self.sites), found.tables)
        self.global_counts = self._counts(len(self.sites), len(self.sites), found.tables)
        self.global_reason = found.extra["global_reason"]
        self.notes = list(found.extra["notes"])

    def _counts(self, index: int, tables: int, restore_from: Path | None = None) -> PatternCounts:
        limit = max(_SMALLEST_TABLE_BYTES, self.options.memory_limit_bytes // (tables + 1))
        spill = self._spill_dir / f"table-{index:03d}"
        if restore_from is None:
            return PatternCounts(limit, spill, self._announce)
        found = restore_from / f"table-{index:03d}"
        return PatternCounts.restore(found, limit, spill, self._announce)

    def _announce(self, sentence: str) -> None:
        self.progress(sentence, self.done, self.source.n_samples)

    def batches(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield the batches from the first input not yet analysed on."""
        batches = iter(self.source.batches(self.batch_size, self.done))
        while True:
            start = time.perf_counter()
            feeds = next(batches, None)
            self.seconds["loading"] += time.perf_counter() - start
            if feeds is None:
                return
            yield feeds

    def step(
        self, feeds: dict[str, np.ndarray], pool: ThreadPoolExecutor
    ) -> list[np.ndarray | None]:
        """Analyse one batch.

        Args:
            feeds: input name -> array.
            pool: threads for the hashing.

        Returns:
            One `(n_samples, 2)` array of fingerprints a site, None where it did not run.
        """
        n_inputs = len(next(iter(feeds.values())))
        start = time.perf_counter()
        outputs = dict(zip(self.outputs, self.session.run(feeds), strict=True))
        self.seconds["inference"] += time.perf_counter() - start
        within = max(1, self.threads // len(self.sites))
        keys = list(
            pool.map(
                lambda site: site.add(outputs[site.tap.output], self.done, n_inputs, within),
                self.sites,
            )
        )
        self._add_global(keys, n_inputs)
        self.done += n_inputs
        return keys

    def _add_global(self, per_site: list[np.ndarray | None], n_inputs: int) -> None:
        if self.global_reason:
            return
        shaped = []
        for index, (site, keys) in enumerate(zip(self.sites, per_site, strict=True)):
            if keys is None or site.positions is None:
                name = site.tap.site.name
                self.global_reason = f"inputs differ in how many patterns they have at site {name}"
                return
            shaped.append((index, keys.reshape(n_inputs, site.positions, 2)))
        self.global_counts.add(global_keys(shaped, n_inputs), self.done)

    def _interrupt(self) -> None:
        self.save()
        total = self.source.n_samples
        done = f"after {self.done} of {total} inputs" if total else f"after {self.done} inputs"
        kept = (
            f"what is done is kept in {self.checkpoints.folder}: run again with --resume"
            if self.checkpoints
            else "nothing is kept without an output folder"
        )
        raise Interrupted(f"interrupted {done}; {kept}.")


def tap_all(model: Model, *, smooth: bool = False) -> TapResult:
    """Find and tap every switch site of a model.

    Raises:
        ModelError: the model has no switch, or none that can be seen.
    """
    sites = find_sites(model, smooth=smooth)
    name = model.path or "the model"
    if not sites:
        more = "" if smooth else "; smooth activations (Gelu, Silu, ...) count with --smooth"
        raise ModelError(f"{name} has no switch (ReLU or a relative), nothing to analyse{more}.")
    tapped = tap(model, sites)
    if not tapped.taps:
        raise ModelError(
            f"none of the {len(sites)} switches of {name} can be seen: {sites[0].untappable}."
        )
    return tapped


@contextmanager
def _stop_at_batch_end() -> Iterator[threading.Event]:
    """Let the first Ctrl-C only set a flag, so that a batch is counted whole or not at all."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def on_signal(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    former = signal.signal(signal.SIGINT, on_signal)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, former)

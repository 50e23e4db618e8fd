"""The analysis itself: batches through the tapped model, every tap hashed and counted."""

from __future__ import annotations

import functools
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from reluflow.analysis.run.accumulate import SiteAccumulator, why_no_global
from reluflow.analysis.run.batching import choose_batch_size, fitting, share_out
from reluflow.analysis.run.checkpoint import Checkpoints, holds_checkpoint
from reluflow.analysis.run.dependence import describe_dependence, find_dependence, trial_inputs
from reluflow.analysis.run.input_sample import SAMPLE_INPUTS, InputSample
from reluflow.analysis.run.left_out import idle_size_notes, left_out_notes
from reluflow.analysis.run.options import AnalysisOptions
from reluflow.analysis.run.sessions import Sessions, Shown
from reluflow.data import DataSource, fixed_batch_size
from reluflow.errors import Interrupted, ModelError, OutputError
from reluflow.graph import Model, Rewritten, SwitchSite, Tap, find_chains, find_sites, tap
from reluflow.patterns import PatternCounts, SketchCounts, add_sites
from reluflow.patterns.tables.records import FileSource
from reluflow.progress import Progress
from reluflow.sessions import RunStopped, default_threads

_SMALLEST_TABLE_BYTES = 2**18
_ONE_PRESS_SECONDS = 0.3


class Pipeline:
    """One analysis: feeds batches, keeps the accumulators of all sites, writes checkpoints.

    Args:
        model: the model as loaded.
        source: its inputs.
        options: settings.
        spill_dir: folder for counting tables that outgrow their memory.
        folder: working folder for checkpoints; None writes none.
        progress: called as progress(stage, inputs done, inputs in all or None).
        sampled: the most inputs whose bits are kept for the graded measures.

    Attributes:
        outputs: the outputs of the last batch, where `keeps_outputs` is set.
        counts_patterns: whether `step` counts what it hashes.

    Raises:
        OptionError: the batch size fits neither the model nor the data.

    Example:
        >>> import tempfile
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load
        >>> images = np.load("models/fashion_mnist_test_2000.npz")["image"][:8]
        >>> model = load("models/fashion_resnet8.onnx")
        >>> data = open_data(images, model.inputs)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pipeline = Pipeline(model, data, AnalysisOptions(batch_size=4), Path(folder))
        ...     pipeline.run()
        ...     pipeline.done, len(pipeline.sites), pipeline.sites[0].samples // pipeline.done
        (8, 7, 784)
        >>> # or batch by batch
        >>> with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as pool:
        ...     pipeline = Pipeline(model, data, AnalysisOptions(), Path(folder, "spill"),
        ...                         Path(folder, "work"))
        ...     for feeds in pipeline.batches():
        ...         shown = pipeline.run_plain(feeds)
        ...         keys = pipeline.step(feeds, pool)
        ...     pipeline.save()
        ...     holds_checkpoint(Path(folder, "work"))
        True
        >>> len(shown), keys[0].shape
        (7, (6272, 2))
        >>> from reluflow.patterns.tables.records import chunks, write_run
        >>> # or a stretch of inputs, after a trial that is made elsewhere
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pipeline = Pipeline(model, data, AnalysisOptions(batch_size=4), Path(folder))
        ...     pipeline.try_first(next(pipeline.batches()))
        ...     states = pipeline.state(), [site.state() for site in pipeline.sites]
        ...     pipeline.begin(4)
        ...     pipeline.set_state(*states)
        ...     pipeline.run(until=8)
        ...     pipeline.sites[0].samples, pipeline.sample.inputs, pipeline.empty_sample().inputs
        ...     run = write_run(Path(folder), chunks(pipeline.global_counts.finish().source))
        ...     pipeline.take_table(len(pipeline.sites), run, spilled_bytes=0)
        ...     pipeline.take_counts(0, PatternCounts())
        ...     pipeline.global_counts.samples
        (3136, [4, 5, 6, 7], [])
        4
    """

    keeps_outputs = False
    counts_patterns = True

    def __init__(
        self,
        model: Model,
        source: DataSource,
        options: AnalysisOptions,
        spill_dir: Path,
        folder: Path | None = None,
        progress: Progress | None = None,
        sampled: int = SAMPLE_INPUTS,
    ) -> None:
        self.model, self.source, self.options = model, source, options
        self.started = datetime.now().astimezone().isoformat(timespec="seconds")
        self.clock = time.perf_counter()
        self.threads = options.threads or default_threads()
        self.notes = [
            *model.notes,
            *left_out_notes(model, options.smooth),
            *idle_size_notes(source.description),
        ]
        self.progress: Progress = progress or (lambda stage, done, total: None)
        tapped = self.tapped = tap_all(model, options)
        # The sessions come before the tables: a model that does not load has taken no memory yet.
        self.skipped = skipped_sites(model, tapped, options)
        self.sessions = Sessions(model, tapped, options, self.threads, self._note)
        self._first_bytes = 0
        self.batch_size = self._choose_batch_size()
        source.check_batch(self.batch_size)
        identity = {
            "model": model.sha256,
            "weights": _stamps(model),
            "data": source.description.fingerprint,
            "options": options.identity() | {"batch_size": self.batch_size},
        }
        self.identity = identity
        self._spill_dir = spill_dir
        self._announced = False
        self._sampled = sampled
        self.checkpoints = Checkpoints(folder, identity) if folder else None
        self.depends_on: dict[int, str] = {}
        self._tried, self._scattered = False, frozenset[int]()
        self.outputs: Mapping[str, np.ndarray] = {}
        self.begin()

    def begin(self, first: int = 0) -> None:
        """Forget what was counted, and count from an input on.

        What a trial of the first batch found is kept: see `try_first`.

        Args:
            first: number of the input.
        """
        self.done = first
        self.seconds = {"loading": 0.0, "inference": 0.0}
        self.sites = [
            SiteAccumulator(each, self.options, self._counts(index))
            for index, each in enumerate(self.tapped.done)
        ]
        self.global_counts = self._counts(len(self.sites))
        self.global_reason, self.global_reason_at = "", (0, 0)
        self.sample = self.empty_sample()
        self._scatter(self._scattered)

    def empty_sample(self) -> InputSample:
        """Return a sample of the inputs that holds none yet."""
        n = self.source.n_samples
        return InputSample(self.tapped.done, self.options.seed, n, self._sampled)

    def take_table(self, index: int, run: FileSource, spilled_bytes: int) -> None:
        """Take over finished counts, which stay in their file.

        Args:
            index: of the site; the number of sites for the counts of the whole network.
            run: the counts.
            spilled_bytes: what was put on disk while they were counted.
        """
        self.take_counts(
            index, PatternCounts.from_run(run, spilled_bytes, **self._of_counts(index))
        )

    def take_counts(self, index: int, counts: PatternCounts) -> None:
        """Take over counts that were made elsewhere.

        Args:
            index: of the site; the number of sites for the counts of the whole network.
            counts: that the pipeline goes on with.
        """
        if index == len(self.sites):
            self.global_counts = counts
        else:
            self.sites[index].counts = counts

    def _scatter(self, indices: frozenset[int]) -> None:
        """Tell the sites where the samples of one input are not adjacent, and the sample."""
        self._scattered = self.sample.scattered = indices
        for index in indices:
            self.sites[index].scattered = True

    def run_plain(self, feeds: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return the pre-activations of a batch by output.

        Args:
            feeds: input name -> array.
        """
        return self.sessions.show(feeds, shrink=self.sessions.hashes).outputs

    def _choose_batch_size(self) -> int:
        """Choose the batch size by the sizes of the first input, where it is not fixed."""
        free = fixed_batch_size(self.model.inputs) is None
        first = self.source.first() if free and not self.options.batch_size else None
        if first is not None:
            self._first_bytes = sum(array.nbytes for array in first.values())
        sites = [each.site for each in self.tapped.done]

        def measure(feeds: Mapping[str, np.ndarray]) -> int:
            return sum(array.nbytes for array in self.run_plain(feeds).values())

        return choose_batch_size(self.model, sites, self.options, first, measure)

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def run(self, *, resume: bool = False, until: int | None = None) -> None:
        """Analyse all remaining inputs.

        Args:
            resume: continue from the checkpoint in the working folder.
            until: stop before the batch that begins with this input; None: at the end.

        Raises:
            Interrupted: Ctrl-C; a checkpoint was written where there is a working folder.
            ModelError: the data hold no sample.
            ReluflowError: bad data, a failing model or an unwritable folder.
        """
        if self.checkpoints is not None:
            self._start(self.checkpoints, resume)
        with (
            _stop_between_batches(self.sessions.stop) as stop,
            ThreadPoolExecutor(self.threads) as pool,
        ):
            last = time.monotonic()
            for feeds in self.batches(until):
                try:
                    if not stop.is_set():
                        self.step(feeds, pool)
                except RunStopped:  # nothing of this batch was counted
                    stop.set()
                if stop.is_set():
                    self._interrupt()
                self.progress("analysing", self.done, self.source.n_samples)
                if time.monotonic() - last >= self.options.checkpoint_seconds:
                    self.save()
                    last = time.monotonic()
        if not self.done:
            raise ModelError("the data hold no sample; give at least one.")
        if any(site.samples for site in self.sites):
            self.save()  # what follows may be interrupted, or find the disk full

    def save(self) -> None:
        """Write a checkpoint, where there is a working folder."""
        if self.checkpoints is not None:
            states = [site.state() for site in self.sites]
            self.checkpoints.save(self.done, states, self.state(), [*self._tables(), self.sample])

    def state(self) -> dict[str, Any]:
        """Return all but the sites, their counts and the sample, ready for JSON."""
        return {
            "global_reason": self.global_reason,
            "global_reason_at": list(self.global_reason_at),
            "notes": self.notes,
            "depends_on": sorted(self.depends_on.items()),
            "tried": self._tried,
        }

    def set_state(self, state: Mapping[str, Any], sites: Sequence[dict[str, Any]]) -> None:
        """Take back what `state` and the sites' `state` returned; counts and sample are left.

        Args:
            state: of the pipeline.
            sites: of its sites, in their order.
        """
        for site, each in zip(self.sites, sites, strict=True):
            site.set_state(each)
        self.global_reason = state["global_reason"]
        first_input, index = state["global_reason_at"]
        self.global_reason_at = (first_input, index)
        self.notes = list(state["notes"])
        self.depends_on = dict(state["depends_on"])
        self._tried = state["tried"]
        self._scatter(frozenset(i for i, site in enumerate(self.sites) if site.scattered))

    def _start(self, checkpoints: Checkpoints, resume: bool) -> None:
        if not resume:
            if holds_checkpoint(checkpoints.folder):
                raise OutputError(
                    f"an interrupted analysis lies in {checkpoints.folder}; "
                    "go on with resume=True, or delete the folder to start again."
                )
            checkpoints.prepare()
            return
        found = checkpoints.load()
        self.done = found.next_input
        self.set_state(found.extra, found.sites)
        for index, site in enumerate(self.sites):
            site.counts = self._counts(index, found.tables)
        self.global_counts = self._counts(len(self.sites), found.tables)
        self.sample.restore(found.tables / f"table-{len(self.sites) + 1:03d}")

    def _counts(self, index: int, restore_from: Path | None = None) -> PatternCounts:
        kind, given = PatternCounts, self._of_counts(index)
        if self.options.approximate:
            kind, given = SketchCounts, {}
        if restore_from is None:
            return kind(**given)
        return kind.restore(restore_from / f"table-{index:03d}", **given)

    def _of_counts(self, index: int) -> dict[str, Any]:
        # Half of the limit for any one table, as another may be just as large; _share_memory sees
        # to the sum.
        return {
            "memory_limit_bytes": max(_SMALLEST_TABLE_BYTES, self.options.memory_limit_bytes // 2),
            "spill_dir": self._spill_dir / f"table-{index:03d}",
            "on_spill": self._announce,
        }

    def _tables(self) -> list[PatternCounts]:
        return [site.counts for site in self.sites] + [self.global_counts]

    def _share_memory(self) -> None:
        """Let the largest tables spill until the total, or the fair share, is within the limit."""
        tables, limit = self._tables(), self.options.memory_limit_bytes
        while sum(table.nbytes for table in tables) > limit:
            largest = max(tables, key=lambda table: table.nbytes)
            # With very many sites the limit cannot be kept: a table that spills at every batch
            # would write its few patterns over and over.
            if largest.nbytes <= max(_SMALLEST_TABLE_BYTES, limit // len(tables)):
                return
            largest.spill()

    def _announce(self, sentence: str) -> None:
        if not self._announced:
            self.progress(sentence, self.done, self.source.n_samples)
        self._announced = True

    def batches(self, until: int | None = None) -> Iterator[dict[str, np.ndarray]]:
        """Yield the batches, starting at the first input not yet analysed.

        Args:
            until: end before the batch that begins with this input; None: at the end.
        """
        batches = iter(self.source.batches(self.batch_size, self.done))
        while until is None or self.done < until:
            start = time.perf_counter()
            feeds = next(batches, None)
            self.seconds["loading"] += time.perf_counter() - start
            if feeds is None:
                return
            # The batch size was chosen by the first input; later ones may be larger pictures.
            size = fitting(feeds, self._first_bytes, self.batch_size)
            for at in range(0, len(next(iter(feeds.values()))), size):
                yield {name: array[at : at + size] for name, array in feeds.items()}

    def step(
        self, feeds: dict[str, np.ndarray], pool: ThreadPoolExecutor
    ) -> list[np.ndarray | None]:
        """Analyse one batch.

        Args:
            feeds: input name -> array.
            pool: threads for the hashing.

        Returns:
            One `(n_samples, 2)` uint64 array of fingerprints per site, None where it did not run.
        """
        n_inputs = len(next(iter(feeds.values())))
        # Before anything is counted: what depends on company must not enter the sample as if each
        # input had its own values. A resumed analysis knows it from the checkpoint.
        if not self.done and not self._tried:
            self.try_first(feeds)
        rows = self.sample.wanted(self.done, n_inputs)
        run = self._choose_run(bool(rows))
        start = time.perf_counter()
        shown = run(feeds)
        self.seconds["inference"] += time.perf_counter() - start
        keys, joined = self._observe(shown, n_inputs, pool)
        if rows:
            self.sample.put([self.done + row for row in rows], rows, n_inputs, shown.outputs)
        if self.keeps_outputs:
            self.outputs = shown.outputs
        if self.counts_patterns and not self.global_reason:
            self.global_counts.add(joined, self.done)
        if not self.options.approximate:
            self._share_memory()
        self.done += n_inputs
        return keys

    def _choose_run(self, sampled: bool) -> Callable[[Mapping[str, np.ndarray]], Shown]:
        """Choose the graph for a batch: where some inputs are sampled, values must be visible."""
        if self.sessions.hashes and not sampled:
            return self.sessions.hashing()
        shrink = self.sessions.hashes and not self.sample.takes_all
        return functools.partial(self.sessions.show, shrink=shrink)

    def try_first(self, feeds: dict[str, np.ndarray]) -> None:
        """Find out by a trial which sites depend on the batch or on chance.

        Args:
            feeds: the first batch: input name -> array.
        """
        self._tried = True
        fixed = fixed_batch_size(self.model.inputs) is not None
        few = trial_inputs(self.source, feeds, self.batch_size, fixed)
        trial = find_dependence(self.run_plain, few, self.tapped.done, fixed)
        self.depends_on = {index: each.kind for index, each in trial.found.items()}
        self._scatter(trial.scattered)
        names = [each.site.name for each in self.tapped.done]
        notes = describe_dependence(trial, names, self.batch_size)
        self.notes += [note for note in notes if note not in self.notes]

    def _observe(
        self, shown: Shown, n_inputs: int, pool: ThreadPoolExecutor
    ) -> tuple[list[np.ndarray | None], np.ndarray]:
        """Hash and count all sites, divided by size among the threads.

        Returns the keys of each site and the global keys `(n_inputs, 2)`.
        """
        keys: list[np.ndarray | None] = [None] * len(self.sites)
        # Sites first; threads within one only where there are fewer sites than threads: decision 4.
        within = max(1, self.threads // len(self.sites))

        def work(indices: list[int]) -> np.ndarray:
            found: dict[int, tuple[np.ndarray, int]] = {}
            for index in indices:
                taken = self.sites[index].take(
                    shown.outputs, self.done, n_inputs, within, shown.hashed[index]
                )
                if taken is not None:
                    found[index] = taken
                    keys[index] = taken[0]
            return self._count(found, n_inputs, within)

        costs = [
            site.cost(shown.outputs, hashed)
            for site, hashed in zip(self.sites, shown.hashed, strict=True)
        ]
        joined = functools.reduce(np.bitwise_xor, pool.map(work, share_out(costs, self.threads)))
        for index, (site, found) in enumerate(zip(self.sites, keys, strict=True)):
            # One pattern of the whole network needs one row of every site for each input.
            if not self.global_reason and (found is None or site.positions is None):
                self.global_reason = why_no_global(site.tap.site.name, site.scattered)
                self.global_reason_at = (self.done, index)
        return keys, joined

    def _count(
        self, found: dict[int, tuple[np.ndarray, int]], n_inputs: int, threads: int
    ) -> np.ndarray:
        """Count the keys of some sites: index -> (keys, number of the first sample).

        Returns their share of the global keys.
        """
        start = time.perf_counter()
        joined = np.zeros((n_inputs, 2), np.uint64)
        batches = [(self.sites[i].counts, k, n) for i, (k, n) in found.items()]
        if self.counts_patterns:
            PatternCounts.add_to_all(batches, threads=threads)
        steady = {i: k for i, (k, _) in found.items() if self.sites[i].positions is not None}
        add_sites(joined, steady)
        seconds = time.perf_counter() - start
        # All tables are filled in one call, so that threads are shared; each site is told a part of
        # the time by its number of keys.
        total = sum(len(keys) for keys, _ in found.values())
        for index, (keys, _) in found.items():
            self.sites[index].seconds["counting"] += seconds * len(keys) / total
        return joined

    def _interrupt(self) -> None:
        self.save()
        total = self.source.n_samples
        done = f"after {self.done} of {total} inputs" if total else f"after {self.done} inputs"
        kept = (
            f"what is done is kept in {self.checkpoints.folder}: run again with resume=True"
            if self.checkpoints
            else "nothing is kept without an output folder"
        )
        raise Interrupted(f"interrupted {done}; {kept}.")


def tap_all(model: Model, options: AnalysisOptions) -> Rewritten[tuple[Tap, ...]]:
    """Find and tap every switch site of a model.

    Raises:
        ModelError: the model has no switch, or none that can be seen.
    """
    sites = find_sites(model, smooth=options.smooth)
    name = model.path or "the model"
    if not sites and find_chains(model):
        raise ModelError(
            f"{name} has no switch left, as its converted layers pass bytes or int16 to each "
            "other; give the model as it was converted without chains."
        )
    if not sites:
        more = "" if options.smooth else ", or count smooth ones (Gelu, Silu, ...) with smooth=True"
        raise ModelError(
            f"{name} has no switch (ReLU or a relative), nothing to analyse; give another "
            f"model{more}."
        )
    tapped = tap(model, sites, behind=options.behind)
    if not tapped.done:
        raise ModelError(
            f"none of the {len(sites)} switches of {name} can be seen: {sites[0].untappable}; "
            "give a model with one of them in its main graph."
        )
    return tapped


def skipped_sites(
    model: Model, tapped: Rewritten[tuple[Tap, ...]], options: AnalysisOptions
) -> list[SwitchSite]:
    """Return the sites that could not be tapped, with the reason."""
    if not tapped.refused:  # true for most models: the sites need not be found again
        return []
    known = {site.name: site for site in find_sites(model, smooth=options.smooth)}
    return [replace(known[each.node], untappable=each.reason) for each in tapped.refused]


def _stamps(model: Model) -> list[list[object]]:
    """Return name, size and modification time of each file of external weights."""
    stamps: list[list[object]] = []
    for path in model.external_files:
        status = path.stat()
        stamps.append([path.name, status.st_size, status.st_mtime_ns])
    return stamps


@contextmanager
def _stop_between_batches(stop_run: Callable[[], None]) -> Iterator[threading.Event]:
    """Let the first Ctrl-C set a flag and end the run in progress: batches count completely or not.

    This also ends a run in an endless Loop. A second Ctrl-C raises where it is received; one press
    may arrive twice, from the terminal and from a process that forwards it.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    first = math.inf

    def on_signal(number: int, frame: object) -> None:
        nonlocal first
        if stop.is_set() and time.monotonic() > first + _ONE_PRESS_SECONDS:
            raise KeyboardInterrupt
        first = min(first, time.monotonic())
        stop.set()
        stop_run()

    former = signal.signal(signal.SIGINT, on_signal)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, former)

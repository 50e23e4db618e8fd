"""Divide an analysis into parts, have them counted, and merge them as they come in."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from reluflow.analysis import Pipeline, holds_checkpoint
from reluflow.data import Preprocessing, RandomData
from reluflow.data.sources.places import is_url, protocol
from reluflow.errors import Interrupted, OptionError, OutputError, ReluflowError
from reluflow.files import appearing
from reluflow.progress import Progress
from reluflow.scale.cluster import Cluster
from reluflow.scale.parts import Part, find_parts, take_over
from reluflow.scale.work import JOB_FILE, Job, count_part, merge_in_worker

_PARTS_PER_WORKER = 4
"""So that the last parts leave no worker idle for long, and little is lost with one."""
_FAN_IN = 8
"""Parts that are merged at once: each table is read and written log8(parts) times."""
_POLL_SECONDS = 0.2
_MOST_DEATHS = 3
"""Broken pools in a row without any part done in between: then something kills each worker."""


@dataclass(eq=False)
class _Node:
    """A part to be counted (no children) or merged of children, in a tree of the whole.

    Attributes:
        part: the inputs.
        children: what it is merged of.
        done: its folder is complete.
    """

    part: Part
    children: list[_Node] = field(default_factory=list)
    done: bool = False

    @property
    def ready(self) -> bool:
        return all(child.done for child in self.children)


def count_in_parts(
    pipeline: Pipeline,
    cluster: Cluster,
    folder: Path,
    data: Any,
    *,
    preprocessing: Preprocessing | None = None,
    limit: int | None = None,
    parts: int | None = None,
    resume: bool = False,
) -> None:
    """Let workers count all inputs; the pipeline then holds the counts as after its own run.

    Counts, report and notes are the same bit for bit as those of one process, for any number of
    parts, workers and lost workers: parts begin at whole batches, and only adjacent ones are
    merged.

    Args:
        pipeline: new, of the whole data.
        cluster: the workers.
        folder: for the parts, on a disk that all workers see; it must stay until the pipeline
            is summarised.
        data: as for `reluflow.analyze`; where it is no path and no `RandomData`, the inputs are
            written into the folder first.
        preprocessing: of images and idx files.
        limit: the first so many inputs only.
        parts: into how many parts the inputs are divided; None: four a worker.
        resume: use the parts that an interrupted run left in the folder.

    Raises:
        OptionError: the data are read once only, or parts are not at least 1.
        OutputError: nothing to resume, or parts of another analysis.
        Interrupted: Ctrl-C; finished parts are kept.
        ReluflowError: a worker failed, or workers die again and again.

    Example:
        >>> import tempfile
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> from reluflow.analysis import AnalysisOptions, summarize
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load
        >>> from reluflow.scale import open_cluster
        >>> model = load("models/fashion_resnet8.onnx")
        >>> images = np.load("models/fashion_mnist_test_2000.npz")["image"][:32]
        >>> options = AnalysisOptions(batch_size=8)
        >>> with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as threads:
        ...     data = open_data(images, model.inputs)
        ...     pipeline = Pipeline(model, data, options, Path(folder, "spill"))
        ...     with open_cluster(None, threads) as cluster:
        ...         count_in_parts(pipeline, cluster, Path(folder, "parts"), images, parts=3)
        ...     report = summarize(pipeline).report
        >>> report.n_inputs, len(report.sites)
        (32, 7)

    Reference: docs/scale.md.
    """
    n = pipeline.source.n_samples
    if n is None:
        raise OptionError(
            "the data are an iterator, whose length is not known and which one process must read; "
            "give a file, an array or a dataset, or leave workers out."
        )
    if parts is not None and parts < 1:
        raise OptionError(f"parts is {parts}; give a whole number from 1 on.")
    if is_url(data) and protocol(data) == "memory" and not cluster.shares_process:
        raise OptionError(
            f"data {data!r} lie in the memory of this process, which its workers do not see; give "
            "a file or a URL that they can open, or leave workers out."
        )
    first = next(pipeline.batches(), None)
    if first is not None:
        pipeline.try_first(first)
    job = _make_job(pipeline, cluster, folder, data, preprocessing, limit, resume)
    wanted = parts or _PARTS_PER_WORKER * cluster.workers
    leaves = [_Node(part, done=True) for part in find_parts(folder)]
    leaves += [_Node(part) for part in _gaps(leaves, n, wanted, pipeline.batch_size)]
    root = _tree(sorted(leaves, key=lambda node: node.part))
    _Division(job, cluster, pipeline.progress, n).run(root)
    take_over(pipeline, root.part, folder)


def holds_parts(folder: Path) -> bool:
    """Return whether a folder holds a divided analysis.

    Args:
        folder: which need not exist.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     holds_parts(Path(folder))
        False
    """
    return (folder / JOB_FILE).is_file()


def _gaps(done: Sequence[_Node], n: int, parts: int, batch: int) -> list[Part]:
    """Return the parts that are still to be counted, each of whole batches."""
    batches = -(-n // batch)
    each = batch * max(1, -(-batches // parts))
    found, at = [], 0
    for stop, behind in [*((node.part.start, node.part.end) for node in done), (n, n)]:
        found += [Part(first, min(first + each, stop)) for first in range(at, stop, each)]
        at = behind
    return found


def _tree(nodes: list[_Node]) -> _Node:
    while len(nodes) > 1:
        level = []
        for start in range(0, len(nodes), _FAN_IN):
            children = nodes[start : start + _FAN_IN]
            whole = Part(children[0].part.start, children[-1].part.end)
            level.append(_Node(whole, children) if len(children) > 1 else children[0])
        nodes = level
    return nodes[0]


def _make_job(
    pipeline: Pipeline,
    cluster: Cluster,
    folder: Path,
    data: Any,
    preprocessing: Preprocessing | None,
    limit: int | None,
    resume: bool,
) -> Job:
    """Write what all workers need into the folder, or find it there."""
    identity = json.loads(json.dumps(pipeline.identity))
    token = _resumed(folder, identity) if resume else _fresh(folder)
    options = pipeline.options
    memory = options.memory_limit_bytes
    try:
        folder.mkdir(parents=True, exist_ok=True)
        model, owns_model = _share_model(pipeline, folder)
        shared, owns_data = _share_data(pipeline, folder, data)
        if not resume:
            with appearing(folder / JOB_FILE) as partial:
                partial.write_text(json.dumps({"token": token, "identity": identity}))
    except OSError as error:
        raise OutputError(
            f"the folder {folder} for the parts cannot be written ({error.strerror or error}); "
            "choose another output path."
        ) from error
    # Copies made here are those of this process; files that were there before may differ.
    copied = {"model": owns_model, "weights": owns_model, "data": owns_data}
    return Job(
        folder=str(folder.resolve()),
        token=token,
        model=model,
        data=shared,
        preprocessing=None if owns_data else preprocessing,
        limit=None if owns_data else limit,
        identity=identity | {name: None for name, own in copied.items() if own},
        options=replace(
            options,
            threads=options.threads or cluster.threads,
            memory_limit_bytes=max(1, memory // cluster.workers)
            if cluster.shares_memory
            else memory,
        ),
        extra=pipeline.state(),
        sites=[site.state() for site in pipeline.sites],
    )


def _fresh(folder: Path) -> str:
    if holds_parts(folder) or holds_checkpoint(folder):
        raise OutputError(
            f"an interrupted analysis lies in {folder}; go on with resume=True, or delete the "
            "folder to start again."
        )
    return secrets.token_hex(8)


def _resumed(folder: Path, identity: dict[str, Any]) -> str:
    if not holds_parts(folder):
        one = holds_checkpoint(folder)
        raise OutputError(
            f"the analysis in {folder} was begun by one process; resume it without workers."
            if one
            else f"there is nothing to resume in {folder}; run without resume=True."
        )
    try:
        found = json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))
        token = str(found["token"])
        differing = [k for k in identity if found["identity"].get(k) != identity[k]]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise OutputError(
            f"{folder / JOB_FILE} cannot be read ({error}); delete the folder and run again."
        ) from error
    if differing:
        raise OutputError(
            f"the parts in {folder} belong to another analysis (different: "
            f"{', '.join(differing)}); run it with the same settings, or without resume=True "
            "into another folder."
        )
    return token


def _share_model(pipeline: Pipeline, folder: Path) -> tuple[str, bool]:
    """Return the path of the model for all workers, and whether it is a copy made for them."""
    if pipeline.model.path is not None:
        return str(pipeline.model.path.resolve()), False
    copy = folder / "model.onnx"
    if not copy.exists():
        pipeline.model.save(copy)
    return str(copy.resolve()), True


def _share_data(pipeline: Pipeline, folder: Path, data: Any) -> tuple[Any, bool]:
    """Return the data for all workers, and whether they are a copy made for them."""
    if is_url(data):
        return data, False
    if isinstance(data, str | os.PathLike):
        return str(Path(data).expanduser().resolve()), False
    if isinstance(data, RandomData):
        return data, False
    paths = {
        spec.name: folder / f"input-{number}.npy"
        for number, spec in enumerate(pipeline.source.inputs)
    }
    if not all(path.exists() for path in paths.values()):
        _write_inputs(pipeline, paths)
    return {name: str(path.resolve()) for name, path in paths.items()}, True


def _write_inputs(pipeline: Pipeline, paths: dict[str, Path]) -> None:
    """Write all inputs as the model takes them, a file each, in batches."""
    n, at = pipeline.source.n_samples, 0
    with ExitStack() as stack:
        parts = {name: stack.enter_context(appearing(path)) for name, path in paths.items()}
        files: dict[str, np.ndarray] = {}
        for feeds in pipeline.source.batches(pipeline.batch_size):
            for name, array in feeds.items():
                if name not in files:
                    shape = (n, *array.shape[1:])
                    files[name] = np.lib.format.open_memmap(parts[name], "w+", array.dtype, shape)
                files[name][at : at + len(array)] = array
            at += len(array)
        for file in files.values():
            file.flush()  # type: ignore[attr-defined]


class _Division:
    """Submits tasks in the order of a tree and takes their ends in.

    Attributes:
        counted: inputs whose counts are on disk.
    """

    def __init__(self, job: Job, cluster: Cluster, progress: Progress, n: int) -> None:
        self._job, self._cluster = job, cluster
        self._progress, self._n = progress, n
        self._folder = Path(job.folder)
        self._running: dict[Future[Part], _Node] = {}
        self.counted = 0

    def run(self, root: _Node) -> None:
        """Have the whole tree computed.

        Raises:
            Interrupted: Ctrl-C.
            ReluflowError: a task failed, or workers died again and again.
        """
        leaves = list(_leaves(root))
        self.counted = sum(node.part.end - node.part.start for node in leaves if node.done)
        deaths, before = 0, 0
        try:
            while not root.done:
                try:
                    self._submit(root)
                    self._wait()
                except BrokenExecutor as error:
                    self._running.clear()
                    deaths = deaths + 1 if self.counted == before else 1
                    before = self.counted
                    if deaths > _MOST_DEATHS:
                        self._give_up(error)
                    self._cluster.renew()
        except KeyboardInterrupt:
            raise Interrupted(
                f"interrupted after {self.counted} of {self._n} inputs; finished parts are kept "
                f"in {self._folder}: run again with resume=True."
            ) from None
        finally:
            for future in self._running:
                future.cancel()

    def _submit(self, node: _Node) -> None:
        """Submit what can be done below a node and is not under way."""
        if node.done or node in self._running.values():
            return
        if not node.ready:
            for child in node.children:
                self._submit(child)
            return
        executor = self._cluster.executor
        if node.children:
            parts = tuple(child.part for child in node.children)
            future = executor.submit(merge_in_worker, self._job, parts)
        else:
            future = executor.submit(count_part, self._job, node.part)
        self._running[future] = node

    def _wait(self) -> None:
        ended, _ = wait(self._running, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in ended:
            node = self._running[future]
            try:
                future.result()
            except (BrokenExecutor, ReluflowError):
                raise
            except CancelledError as error:
                self._give_up(error)
            except Exception as error:  # whatever a cluster raises for a worker that is gone
                raise ReluflowError(
                    f"inputs {node.part.start} to {node.part.end} could not be counted "
                    f"({type(error).__name__}: {error}); what is done is kept in {self._folder}: "
                    "run again with resume=True."
                ) from error
            del self._running[future]
            self._end(node)

    def _end(self, node: _Node) -> None:
        node.done = True
        for child in node.children:  # their counts are in this node's
            shutil.rmtree(self._folder / child.part.name, ignore_errors=True)
        if not node.children:
            self.counted += node.part.end - node.part.start
        stage = "merging" if self.counted == self._n else "analysing"
        self._progress(stage, self.counted, self._n)

    def _give_up(self, error: Exception) -> NoReturn:
        raise ReluflowError(
            f"workers died again and again after {self.counted} of {self._n} inputs, perhaps for "
            f"lack of memory; what is done is kept in {self._folder}: run again with resume=True "
            "and fewer workers, or more parts."
        ) from error


def _leaves(node: _Node) -> Iterator[_Node]:
    if not node.children:
        yield node
    for child in node.children:
        yield from _leaves(child)

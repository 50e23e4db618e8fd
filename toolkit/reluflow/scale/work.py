"""What a worker does: count a part, merge parts. The results are files in the job's folder."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from reluflow._version import __version__
from reluflow.analysis import AnalysisOptions, Pipeline
from reluflow.data import Preprocessing, open_data
from reluflow.errors import OptionError, OutputError
from reluflow.graph import load_apart
from reluflow.scale.parts import Part, merge_parts, write_part
from reluflow.scale.states import Site

JOB_FILE = "job.json"


@dataclass(frozen=True, slots=True)
class Job:
    """One divided analysis, as every worker is told of it.

    Attributes:
        folder: where parts are written; all workers see it.
        token: tells this job from others.
        model: path.
        data: path, `RandomData`, or the paths of arrays by the name of the input.
        preprocessing: of images and idx files.
        limit: the first so many inputs only.
        identity: of model, data and options, which a worker must find too; None: of a copy.
        options: settings; `threads` None: those of the worker.
        extra: `Pipeline.state` after the trial of the first batch.
        sites: the state of each site after the trial.
        version: of reluflow.
    """

    folder: str
    token: str
    model: str
    data: Any
    preprocessing: Preprocessing | None
    limit: int | None
    identity: dict[str, Any]
    options: AnalysisOptions
    extra: dict[str, Any]
    sites: list[Site]
    version: str = __version__


_at_work = threading.Lock()
"""Held while a task runs: a process has one pipeline, whose threads use the cores."""
_bench: dict[str, Pipeline] = {}
"""The token of the last job and its pipeline, so that a model is loaded once, not for each part."""


def count_part(job: Job, part: Part) -> Part:
    """Count a part, unless it is complete already.

    Args:
        job: the analysis.
        part: the inputs.

    Returns:
        The part, complete in the job's folder.

    Raises:
        ReluflowError: this worker has other files or another version, or the analysis fails.
    """
    folder = _see_folder(job)
    with _at_work:
        if not (folder / part.name).exists():
            pipeline = _pipeline(job, folder)
            pipeline.begin(part.start)
            pipeline.set_state(job.extra, job.sites)
            pipeline.run(until=part.end)
            write_part(pipeline, part, folder)
    return part


def merge_in_worker(job: Job, parts: tuple[Part, ...]) -> Part:
    """Merge adjacent parts, unless the result is complete already.

    Args:
        job: the analysis.
        parts: complete parts, in order.

    Returns:
        The merged part, complete in the job's folder.

    Raises:
        ReluflowError: as for `count_part`.
    """
    folder = _see_folder(job)
    whole = Part(parts[0].start, parts[-1].end)
    with _at_work:
        if not (folder / whole.name).exists():
            merge_parts(_pipeline(job, folder), parts, folder)
    return whole


def _see_folder(job: Job) -> Path:
    folder = Path(job.folder)
    try:
        found = json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {}
    if found.get("token") != job.token:
        raise OutputError(
            f"a worker on {socket.gethostname()} does not see the folder {folder} of this job; "
            "name an output folder on a disk that all workers share."
        )
    if job.version != __version__:
        raise OptionError(
            f"a worker on {socket.gethostname()} has reluflow {__version__}, but the job was "
            f"made by {job.version}; install the same version everywhere."
        )
    return folder


def _pipeline(job: Job, folder: Path) -> Pipeline:
    if job.token not in _bench:
        _bench.clear()  # the memory of another job first
        options = replace(job.options, threads=job.options.threads or _own_threads())
        model = load_apart(job.model)
        data = job.data
        if isinstance(data, dict):
            data = {name: np.load(path, mmap_mode="r") for name, path in data.items()}
        source = open_data(data, model.inputs, preprocessing=job.preprocessing, limit=job.limit)
        spill = folder / f".spill-{socket.gethostname()}-{os.getpid()}"
        pipeline = Pipeline(model, source, options, spill)
        _check_same(job.identity, pipeline.identity)
        _bench[job.token] = pipeline
    return _bench[job.token]


def _own_threads() -> int | None:
    """Return the threads that Dask gave to this worker, None where it runs without Dask."""
    if "distributed" not in sys.modules:
        return None
    from distributed import get_worker

    try:
        return int(get_worker().state.nthreads)
    except ValueError:  # Dask is imported, but did not start this process
        return None


def _check_same(wanted: dict[str, Any], found: dict[str, Any]) -> None:
    found = json.loads(json.dumps(found))
    files = [name for name in ("model", "weights", "data") if wanted[name] is not None]
    names = [name for name in files if wanted[name] != found[name]]
    if names:
        raise OptionError(
            f"a worker on {socket.gethostname()} finds another {' and other '.join(names)} than "
            "this process under the same path; let all see the same files."
        )
    if wanted["options"]["batch_size"] != found["options"]["batch_size"]:
        raise OptionError(
            f"a worker on {socket.gethostname()} would run {found['options']['batch_size']} inputs "
            f"at once, not {wanted['options']['batch_size']}; set batch_size."
        )

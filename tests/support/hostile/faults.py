"""Ends a piece of work at its n-th change of a file: by `kill -9`, or by an error of the disk.

    python faults.py JOB FAULT FOLDER

runs a job again and again in a forked child, with the fault at the first change, at the second, and
so on until a run meets none. After each one it checks that the former output is as it was or the
new one complete, and that the job then runs through, or goes on. What an error leaves behind is
checked too; after `kill -9` hidden parts may be left, and are counted.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.parser

import reluflow
import reluflow.analysis  # whatever a job needs is imported before children are forked
import reluflow.drift
import reluflow.graph
import reluflow.report

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate")
ERRORS = {"full": errno.ENOSPC, "broken": errno.EIO}
FAULTS = ("kill", *ERRORS)
MODEL = """<ir_version: 8, opset_import: ["" : 17]>
g (float[N,6] x) => (float[N,4] y)
<float[6,4] w = {1,-1,2,0.5,-1,1,0.25,-2,1,1,-1,1,0.5,2,-1,1,-1,-2,1,0.5,2,-1,1,1}>
{ h = MatMul(x, w) y = Relu(h) }"""


def analyse(out: Path, scale: float) -> None:
    """Writes a report, which depends on the inputs."""
    proto = onnx.parser.parse_model(MODEL)
    reluflow.analyze(proto, inputs(scale), out=out)


def resume(out: Path, scale: float) -> None:
    """Goes on with a report that was interrupted."""
    proto = onnx.parser.parse_model(MODEL)
    reluflow.analyze(proto, inputs(scale), out=out, resume=True)


def convert(out: Path, scale: float) -> None:
    """Writes a converted model, which depends on the scale as well."""
    proto = onnx.parser.parse_model(MODEL.replace("{1,-1,2", f"{{{scale},-1,2"))
    out.mkdir(exist_ok=True)
    reluflow.graph.to_psb(reluflow.graph.load(proto)).model.save(out / "model.onnx")


def fit(out: Path, scale: float) -> None:
    """Writes a reference of drift."""
    out.mkdir(exist_ok=True)
    reluflow.fit_drift(onnx.parser.parse_model(MODEL), inputs(scale), out / "reference.npz")


JOBS: dict[str, Callable[[Path, float], None]] = {
    "analyse": analyse,
    "convert": convert,
    "fit": fit,
}


def inputs(scale: float) -> np.ndarray:
    """Returns 200 inputs that show other patterns at another scale."""
    return np.random.default_rng(int(scale)).normal(scale, 1.0, (200, 6)).astype(np.float32)


def content(out: Path) -> dict[str, str]:
    """Returns a digest of every file, of reports without what a run tells of itself."""
    found = {}
    for path in sorted(out.rglob("*")) if out.exists() else ():
        if path.name == "report.json":
            sites = reluflow.report.read_json(path).sites
            found[path.name] = hashlib.sha256(repr(sites).encode()).hexdigest()
        elif path.suffix in (".html", ".parquet", ".png", ".svg"):  # these follow the report
            found[path.name] = "there" if path.stat().st_size else "empty"
        elif path.is_file() and not path.name.startswith("."):
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


class Fault:
    """Watches changes of files below a folder, and ends the n-th of them.

    Args:
        kind: in `FAULTS`.
        at: which change; 0 for none.
        folder: where.
    """

    def __init__(self, kind: str, at: int, folder: Path) -> None:
        self._kind, self._at, self._folder = kind, at, str(folder)
        self._seen = 0
        self._reading, self._writing = os.pipe()

    def was_made(self) -> bool:
        """Tells, once in the parent, whether the child met the fault."""
        os.close(self._writing)
        made = os.read(self._reading, 1) == b"x"
        os.close(self._reading)
        return made

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        """Is a hook of `sys.addaudithook`, which cannot be taken off again."""
        if event == "open":
            mode, flags = arguments[1], arguments[2]
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if not writes and not (isinstance(mode, str) and set(mode) & set("wax+")):
                return
        elif event not in CHANGES:
            return
        paths = (each for each in arguments[:2] if isinstance(each, str | bytes | os.PathLike))
        if not any(self._folder in os.fsdecode(each) for each in paths):
            return
        self._seen += 1
        if self._seen != self._at:
            return
        os.write(self._writing, b"x")
        if self._kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(ERRORS[self._kind], os.strerror(ERRORS[self._kind]))


def child(job: Callable[[Path, float], None], out: Path, scale: float, fault: Fault | None) -> int:
    """Runs a job in a child; returns 0 where it went through, 2 where it was refused, -9 killed."""
    pid = os.fork()
    if pid == 0:
        code = 3
        try:
            sys.stderr = open(os.devnull, "w")
            if fault is not None:
                sys.addaudithook(fault)
            job(out, scale)
            code = 0
        except (reluflow.ReluflowError, OSError):
            code = 2
        except BaseException as error:
            print(f"  {type(error).__name__}: {error}", flush=True)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main() -> int:
    """Makes faults until a run meets none."""
    warnings.simplefilter("ignore")
    job, kind, place = JOBS[sys.argv[1]], sys.argv[2], Path(sys.argv[3])
    former, later = place / "former", place / "later"
    assert child(job, former, 1.0, None) == 0
    assert child(job, later, 3.0, None) == 0
    before, wanted = content(former), content(later)
    assert before.keys() == wanted.keys() and before != wanted
    at, wrong, left = 1, [], 0
    while True:
        home = place / f"{kind}-{at}"
        home.mkdir()
        out = home / "out"
        shutil.copytree(former, out)
        fault = Fault(kind, at, home)
        code = child(job, out, 3.0, fault)
        was_made = fault.was_made()
        try:
            found = content(out)
        except reluflow.ReluflowError as error:
            found = {"unreadable": str(error)}
        if found not in (before, wanted):
            wrong.append(f"change {at}: neither the former nor the new output, {sorted(found)}")
        if code not in ((-9, 0) if kind == "kill" else (0, 2)):
            wrong.append(f"change {at}: ends with {code}")
        if not was_made:
            break
        # Where no checkpoint was complete yet there is nothing to resume, and the job begins anew.
        may_resume = job is analyse and (home / "out.partial").exists()
        is_done = may_resume and child(resume, out, 3.0, None) == 0
        if (not is_done and child(job, out, 3.0, None) != 0) or content(out) != wanted:
            wrong.append(f"change {at}: the next run does not go through")
        parts = [each.name for each in home.rglob("*.partial")]
        left += bool(parts or [*home.glob(".*.old")])
        if kind != "kill" and parts:
            wrong.append(f"change {at}: left behind {parts}")
        shutil.rmtree(home)
        at += 1
    print(f"{at - 1} faults, {left} left a hidden part behind")
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

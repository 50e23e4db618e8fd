"""The native library under load: many threads, many sessions, forks, memory of the caller."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from networks.loaded import NETS, as_bytes, feeds, held_bytes, net, session, wanted
from onnx import numpy_helper

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
EIGHT = 8
each_net = pytest.mark.parametrize("name", NETS)


def check(name: str, opened: Any, numbers: Iterable[int]) -> None:
    """Run a session on inputs of these numbers and compare every bit."""
    for number in numbers:
        assert as_bytes(opened.run(None, feeds(name, number))) == wanted(name, number), number


@each_net
@pytest.mark.parametrize("threads", [1, 3])
def test_one_session_from_eight_threads(name: str, threads: int) -> None:
    opened = session(name, threads)
    check(name, opened, range(4))  # also what is wanted, before threads ask for it
    wanted_first = [wanted(name, number) for number in range(24)]
    assert len(wanted_first) == 24
    with ThreadPoolExecutor(EIGHT) as pool:
        jobs = [
            pool.submit(check, name, opened, [*range(at, 24), *range(at)]) for at in range(EIGHT)
        ]
        for job in jobs:
            job.result()


@each_net
def test_eight_sessions_from_one_thread_and_from_eight(name: str) -> None:
    opened = [session(name, 1 + number % 3) for number in range(EIGHT)]
    for number in range(12):
        for each in opened:
            check(name, each, [number])
    with ThreadPoolExecutor(EIGHT) as pool:
        for job in [pool.submit(check, name, each, range(12)) for each in opened]:
            job.result()


def test_threads_open_run_and_close_sessions_of_all_kinds() -> None:
    for name in NETS:
        check(name, session(name), range(4))

    def work(at: int) -> None:
        for turn in range(4):
            name = NETS[(at + turn) % len(NETS)]
            check(name, session(name, 1 + turn % 2), range(4))

    with ThreadPoolExecutor(EIGHT) as pool:
        for job in [pool.submit(work, at) for at in range(EIGHT)]:
            job.result()


def no_arena(options: ort.SessionOptions) -> None:
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False


def side_by_side(options: ort.SessionOptions) -> None:
    options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    options.inter_op_num_threads = 3


def no_reuse(options: ort.SessionOptions) -> None:
    options.enable_mem_reuse = False


def unchanged_graph(options: ort.SessionOptions) -> None:
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL


def no_prepacking(options: ort.SessionOptions) -> None:
    options.add_session_config_entry("session.disable_prepacking", "1")


@each_net
@pytest.mark.parametrize(
    "change", [no_arena, side_by_side, no_reuse, unchanged_graph, no_prepacking]
)
def test_options_of_sessions_change_no_bit(
    name: str, change: Callable[[ort.SessionOptions], None]
) -> None:
    for threads in (1, 3):
        check(name, session(name, threads, change), range(6))


def test_the_allocator_of_the_environment() -> None:
    """In a process of its own, since it is there until the process ends."""
    run_script(
        """
memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0,
                           ort.OrtMemType.DEFAULT)
ort.create_and_register_allocator(memory, ort.OrtArenaCfg(0, -1, -1, -1))
def shared(options):
    options.add_session_config_entry("session.use_env_allocators", "1")
for name in NETS:
    for opened in [session(name, threads, shared) for threads in (1, 3)]:
        for number in range(4):
            assert as_bytes(opened.run(None, feeds(name, number))) == wanted(name, number)
"""
    )


@pytest.mark.parametrize("name", ["drawn", "bytes"])
def test_sessions_share_weights_of_the_caller(name: str) -> None:
    held = {
        tensor.name: ort.OrtValue.ortvalue_from_numpy(numpy_helper.to_array(tensor).copy())
        for tensor in net(name)._proto.graph.initializer
    }
    assert held

    def share(options: ort.SessionOptions) -> None:
        for key, value in held.items():
            options.add_initializer(key, value)

    opened = [session(name, threads, share) for threads in (1, 3)]
    for number in range(6):
        for each in opened:
            check(name, each, [number])


@each_net
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("change", [None, no_arena])
def test_inputs_and_outputs_are_bound(
    name: str, threads: int, change: Callable[[ort.SessionOptions], None] | None
) -> None:
    opened = session(name, threads, change)
    names = [output.name for output in opened.get_outputs()]
    kept = {}
    for number in (0, 1, 0, 2, 0):
        given, want = feeds(name, number), wanted(name, number)
        plain = opened.run(None, given)
        bound = {key: ort.OrtValue.ortvalue_from_numpy(value) for key, value in given.items()}
        # By the session, by the caller as an array, and by the caller as a value of ONNX Runtime.
        binding = opened.io_binding()
        for key, value in bound.items():
            binding.bind_ortvalue_input(key, value)
        for key in names:
            binding.bind_output(key)
        opened.run_with_iobinding(binding)
        assert as_bytes(binding.copy_outputs_to_cpu()) == want

        arrays = [np.full_like(value, 7) for value in plain]
        binding = opened.io_binding()
        for key, value in bound.items():
            binding.bind_ortvalue_input(key, value)
        for key, array in zip(names, arrays, strict=True):
            binding.bind_output(key, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        opened.run_with_iobinding(binding)
        assert as_bytes(arrays) == want

        values = [ort.OrtValue.ortvalue_from_numpy(np.full_like(value, 7)) for value in plain]
        binding = opened.io_binding()
        for key, value in bound.items():
            binding.bind_ortvalue_input(key, value)
        for key, value in zip(names, values, strict=True):
            binding.bind_ortvalue_output(key, value)
        for _ in range(3):  # the same memory again
            opened.run_with_iobinding(binding)
            assert as_bytes(value.numpy() for value in values) == want
        kept[number] = values
    for number, values in kept.items():  # later runs wrote elsewhere
        assert as_bytes(value.numpy() for value in values) == wanted(name, number)


def run_script(body: str) -> None:
    """Run Python in a process of its own, with a limit of time."""
    head = (
        "import ctypes, os, sys, threading, numpy as np, onnxruntime as ort\n"
        "from networks.loaded import NETS, as_bytes, feeds, net, session, wanted\n"
    )
    path = os.pathsep.join([str(BENCHMARKS), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", head + body],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


FORK = """
before = {name: session(name) for name in NETS}
for name in NETS:
    for number in range(4):
        assert as_bytes(before[name].run(None, feeds(name, number))) == wanted(name, number)

def run_all(sessions):
    for name, opened in sessions.items():
        for number in range(4):
            assert as_bytes(opened.run(None, feeds(name, number))) == wanted(name, number), name

def new():
    return [{name: session(name, threads) for name in NETS} for threads in (1, 3)]

children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            run_all(before)
            for sessions in new():
                run_all(sessions)
            grandchild = os.fork()
            if grandchild == 0:
                run_all(before)
                os._exit(0)
            code = os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1])
        except BaseException as error:
            print(type(error), error, file=sys.stderr, flush=True)
        finally:
            os._exit(code)
    children.append(child)
run_all(before)
for sessions in new():
    run_all(sessions)
for child in children:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
run_all(before)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_children_and_parent_run_after_a_fork() -> None:
    run_script(FORK)


SESSIONS = """
import gc, signal
from reluflow.sessions import open_session
opened = {threads: open_session(net("drawn"), threads=threads) for threads in (1, 3)}
given, want = feeds("drawn", 1), wanted("drawn", 1)
for _ in range(20):
    for each in opened.values():
        assert as_bytes(each.run(given)) == want
child = os.fork()
if child == 0:
    signal.alarm(60)
    for each in opened.values():
        assert as_bytes(each.run(given)) == want
    del each, opened
    gc.collect()
    os._exit(0)  # ONNX Runtime waits for the parent's threads in an ordinary exit
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert code == 0, code
for each in opened.values():
    assert as_bytes(each.run(given)) == want
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_closes_sessions_whose_threads_stayed_with_the_parent() -> None:
    run_script(SESSIONS)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at glibc's heap")
@pytest.mark.parametrize("change", [None, no_arena])
def test_runs_leave_nothing_behind(
    change: Callable[[ort.SessionOptions], None] | None,
) -> None:
    for name in NETS:
        opened = session(name, 1, change)
        given = [feeds(name, number) for number in range(3)]
        for number in range(60):
            opened.run(None, given[number % 3])
        before = held_bytes()
        for number in range(1500):
            opened.run(None, given[number % 3])
        assert held_bytes() - before < 1500 * 8, name

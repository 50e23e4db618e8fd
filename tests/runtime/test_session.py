import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx.parser
import pytest
import small_models
from networks.loaded import feeds, net
from onnx import helper

from reluflow.errors import DataError, ModelError, OptionError
from reluflow.graph import load
from reluflow.sessions import RunStopped, default_threads, open_session
from reluflow.sessions.session import one_sentence


def test_a_session_runs_the_model() -> None:
    session = open_session(load(small_models.dense()))
    (y,) = session.run({"x": small_models.integers((4, 4))})
    assert session.outputs == ("pre2",)
    assert y.shape == (4, 3)


def test_outputs_are_chosen_by_name_and_order() -> None:
    proto = small_models.dense()
    proto.graph.output.append(helper.make_tensor_value_info("pre0", 1, ["N", 6]))
    session = open_session(load(proto), outputs=["pre0", "pre2"], optimisation="none")
    first, second = session.run({"x": small_models.integers((2, 4))})
    assert (first.shape, second.shape) == ((2, 6), (2, 3))


def test_a_wrong_shape_is_one_sentence_with_the_shapes() -> None:
    session = open_session(load(small_models.dense()))
    with pytest.raises(DataError, match=r"failed on inputs x float32 \[4, 9\]") as caught:
        session.run({"x": np.zeros((4, 9), np.float32)})
    assert "\n" not in str(caught.value)


def test_a_model_that_onnx_runtime_refuses_is_one_sentence() -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    other = helper.make_node("Unheard", ["y"], ["z"], domain="nowhere")
    value = helper.make_tensor_value_info
    graph = helper.make_graph([node, other], "g", [value("x", 1, [1])], [value("z", 1, [1])])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("nowhere", 1)]
    proto = helper.make_model(graph, opset_imports=imports, ir_version=9)
    with pytest.raises(ModelError, match=r"ONNX Runtime cannot load .*Unheard"):
        open_session(load(proto))


def test_options_outside_their_range_are_refused() -> None:
    model = load(small_models.dense())
    with pytest.raises(OptionError, match="optimisation is 'most'; accepted are"):
        open_session(model, optimisation="most")
    with pytest.raises(OptionError, match="threads is 0"):
        open_session(model, threads=0)


def test_messages_lose_codes_and_line_breaks() -> None:
    raw = RuntimeError("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Non-zero\nstatus")
    assert one_sentence(raw) == "Non-zero status"
    assert len(one_sentence(RuntimeError("a" * 999))) == 400


def test_default_threads_is_at_least_one() -> None:
    assert default_threads() >= 1


ENDLESS = """<ir_version: 9, opset_import: ["" : 17]> g (float[N,4] x) => (float[N,4] y)
    <int64 n = {2147483646}, bool c = {1}>
    { y = Loop(n, c, x) <body = b (int64 i, bool ci, float[N,4] s) => (bool co, float[N,4] o)
      { co = Identity(ci) o = Relu(s) }> }"""


@pytest.mark.parametrize("how", ["stop", "ctrl-c", "stop in another thread"])
def test_a_run_that_never_ends_can_be_stopped(how: str) -> None:
    session = open_session(load(onnx.parser.parse_model(ENDLESS)))
    feeds = {"x": np.ones((2, 4), np.float32)}
    stop = session.stop if how != "ctrl-c" else lambda: os.kill(os.getpid(), signal.SIGINT)
    timer = threading.Timer(0.3, stop)
    timer.start()
    if how == "stop in another thread":
        with ThreadPoolExecutor(1) as pool, pytest.raises(RunStopped):
            pool.submit(session.run, feeds).result()
    else:
        with pytest.raises(KeyboardInterrupt):
            session.run(feeds)
    timer.join()
    session.stop()  # no run is in progress, and no later run is affected
    timer = threading.Timer(0.3, session.stop)
    timer.start()
    with pytest.raises(RunStopped):
        session.run(feeds)


def test_inputs_with_defaults_are_bound() -> None:
    session = open_session(net("drawn"), threads=1)
    given = feeds("drawn", 1)
    (want,) = session.run(given)
    into = np.full_like(want, 7)
    assert session.run_into(given, {"y": into})["y"] is into
    assert into.tobytes() == want.tobytes()

"""Objects that users have: tensors, loaders, datasets, modules."""

import numpy as np
import pytest
import small_models
import torch
from onnx import ModelProto

import reluflow
from reluflow.data import InputSpec, open_data
from reluflow.errors import DataError, ModelError

SPEC = InputSpec("x", np.dtype("f4"), ("N", 4))
VALUES = torch.arange(20, dtype=torch.float32).reshape(5, 4)


@pytest.mark.parametrize(
    "given",
    [
        VALUES,
        VALUES.clone().requires_grad_(),
        VALUES.to(torch.bfloat16),
        VALUES.t().contiguous().t(),
        torch.nn.Parameter(VALUES),
        -torch._neg_view(VALUES),
        {"x": VALUES.clone().requires_grad_()},
        [VALUES[:2], VALUES[2:].clone().requires_grad_()],
        torch.utils.data.DataLoader(VALUES, batch_size=2),  # type: ignore[arg-type]
    ],
    ids=["plain", "grad", "bfloat16", "strided", "parameter", "view", "dict", "list", "loader"],
)
def test_tensors_are_data(given: object) -> None:
    batches = open_data(given, [SPEC]).batches(3)
    found = np.concatenate([batch["x"].copy() for batch in batches])
    np.testing.assert_array_equal(found, VALUES.numpy())


def test_a_tensor_is_analysed_like_its_array() -> None:
    x = small_models.integers((50, 4))
    first = reluflow.analyze(small_models.dense(), torch.from_numpy(x))
    second = reluflow.analyze(small_models.dense(), x)
    assert first.sites == second.sites


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_tensor_on_a_gpu_is_brought_over() -> None:
    [batch] = open_data(VALUES.cuda(), [SPEC]).batches(5)
    np.testing.assert_array_equal(batch["x"], VALUES.numpy())


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (VALUES.to("meta"), "data are a Tensor that numpy cannot read"),
        (VALUES.to_sparse(), "data are a Tensor that numpy cannot read"),
        ({"x": VALUES.to("meta")}, "data for input 'x' are a Tensor that numpy cannot read"),
        (VALUES.double(), r"float64 .*convert with .astype\('float32'\)"),
        (torch.tensor(3.0), "single number without a batch axis"),
        (torch.nn.Linear(4, 4), "data are a Linear; give a path"),
    ],
)
def test_what_is_no_data_is_told_what_to_give(given: object, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        open_data(given, [SPEC])


class Net(torch.nn.Module):
    pass


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (torch.nn.Linear(4, 4), r"a torch module \(Linear\); export it first: torch.onnx.export"),
        (Net(), r"a torch module \(Net\); export it first"),
        (torch.export.export(torch.nn.ReLU(), (VALUES,)), "a torch program .*torch.onnx.export"),
        (VALUES, r"model tensor\(\[\[.* is a Tensor; give a path"),
        (None, "model None is a NoneType; give a path"),
    ],
)
def test_what_is_no_onnx_model_is_told_how_to_export(given: object, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence) as caught:
        reluflow.inspect(given)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 240


class Holder:
    """Has what an exporter's result has."""

    def __init__(self, proto: ModelProto) -> None:
        self.model_proto = proto


def test_what_holds_an_onnx_model_is_taken() -> None:
    held = reluflow.inspect(Holder(small_models.dense()))
    assert held == reluflow.inspect(small_models.dense())


# torch's exporter warns of a form that torch itself uses.
@pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning")
def test_the_result_of_torchs_exporter_is_taken() -> None:
    pytest.importorskip("onnxscript")
    net = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2)).eval()
    program = torch.onnx.export(net, (VALUES,), dynamo=True, verbose=False)
    [site] = reluflow.analyze(program, VALUES)
    pre = net[0](VALUES).detach().numpy()
    assert site.patterns == len(np.unique(pre > 0, axis=0))

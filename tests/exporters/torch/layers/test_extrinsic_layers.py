"""Extrinsic layers against their formula, and projections of torch chains against ONNX."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from reluflow.errors import ModelError, OptionError
from reluflow.folding import extrinsic_projections as of_onnx
from reluflow.graph import load
from reluflow_torch.layers import ExtrinsicReLU, extrinsic_projections


@pytest.mark.parametrize("homogeneous", [True, False])
def test_an_extrinsic_layer_is_its_formula(homogeneous: bool) -> None:
    torch.manual_seed(0)
    layer = ExtrinsicReLU(3, 16, homogeneous=homogeneous).double()
    with torch.no_grad():
        layer.inner.uniform_(0.5, 2)
        layer.outer.uniform_(0.5, 2)
    x = torch.randn(8, 3, dtype=torch.float64)
    row = torch.cat([x, torch.ones(8, 1)], 1) if homogeneous else x
    on = torch.diag_embed((row @ layer.weight > 0).double()) - torch.eye(16)
    part = (row @ layer.weight)[:, None] @ on @ torch.diag(layer.inner) @ layer.weight.T
    wanted = row + (part @ torch.diag(layer.outer))[:, 0]
    assert torch.allclose(layer(x), wanted)
    assert torch.autograd.gradcheck(layer, (x.requires_grad_(),))


def test_one_cell_stays_where_it_is() -> None:
    layer = ExtrinsicReLU(2, 2, homogeneous=False)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(2))
    x = torch.tensor([[1.0, 2.0], [-1.0, 2.0], [-1.0, -2.0]])
    assert layer(x).tolist() == x.relu().tolist()  # W W^T = I: exactly the ReLU


def test_an_extrinsic_layer_needs_filters() -> None:
    with pytest.raises(OptionError, match="filters is 0; give a whole number from 1 on"):
        ExtrinsicReLU(2, 0)


class Chain(nn.Sequential):
    """A chain of two convolutions and dense layers, with normalisation."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 3, 3, stride=2, padding=1),
            nn.BatchNorm2d(3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(12, 5, bias=False),
            nn.BatchNorm1d(5),
            nn.ReLU(),
            nn.Linear(5, 2),
        )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torch_and_onnx_agree(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Chain()
    for _ in range(5):
        model(torch.randn(16, 1, 4, 4) + 1)
    x = torch.randn(6, 1, 4, 4)
    found = extrinsic_projections(model, x)
    assert model.training and list(found) == ["0", "4", "7"]
    file = tmp_path / "chain.onnx"
    torch.onnx.export(model.eval(), (x,), str(file), dynamo=False, opset_version=17)
    others = of_onnx(load(file), x.numpy())
    for own, other in zip(found.values(), others, strict=True):
        assert own.shape == x.shape
        assert torch.allclose(own, torch.from_numpy(other.points), atol=1e-4, rtol=1e-3)


def test_extrinsic_layers_are_in_the_space_of_inputs_already() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(ExtrinsicReLU(2, 8, homogeneous=False), nn.Linear(2, 2))
    x = torch.randn(5, 2)
    found = extrinsic_projections(model, x)
    assert torch.allclose(found["0"], model[0](x).double())
    assert torch.allclose(found["1"], found["0"], atol=1e-5)  # an invertible layer, no ReLU


class Twice(nn.Module):
    """Two layers of one input."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.b(x)
        return self.a(x) + y


class Outside(nn.Module):
    """A function behind the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.a(x)
        return y.tanh()


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (Twice(), "module 'a' does not read what the module before it makes"),
        (Outside(), "the model's output is not that of its last layer"),
        (nn.Sequential(nn.ReLU(), nn.Linear(2, 2)), "ReLU '0' follows no layer"),
        (nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2)), "normalisation '0' follows no layer"),
        (nn.Sequential(nn.Flatten()), "the model's output is not that of its last layer"),
        (nn.Sequential(nn.Unflatten(1, (2, 1, 1)), nn.Conv2d(2, 2, 1, groups=2)), "module '1'"),
    ],
)
def test_what_is_no_chain_is_named(model: nn.Module, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        extrinsic_projections(model, torch.randn(3, 2))


def test_a_grouped_convolution_is_refused() -> None:
    model = nn.Sequential(nn.Conv2d(2, 2, 1, groups=2))
    with pytest.raises(ModelError, match="convolution '0' has groups, dilation"):
        extrinsic_projections(model, torch.randn(3, 2, 4, 4))

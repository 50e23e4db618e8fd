"""The networks of the zoo: weights as documented, exported, with the sites that they have."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import reluflow
from reluflow.errors import OptionError
from reluflow.graph import find_sites, load
from reluflow_torch.networks import f1
from reluflow_torch.zoo import (
    NETWORKS,
    FixUpUnit,
    PyramidUnit,
    ZeroPadded,
    cifar_resnet,
    convnet,
    eight_convs,
    fixup_resnet,
    make_network,
    pyramidnet,
    resnet,
    toynet,
    vgg,
    waveform_net,
)

PAGE = Path(__file__).parents[4] / "docs" / "networks.md"


def weights(model: nn.Module, *, norm: bool = True) -> int:
    kinds = nn.modules.batchnorm._BatchNorm
    return sum(
        weight.numel()
        for layer in model.modules()
        for weight in layer.parameters(recurse=False)
        if norm or not isinstance(layer, kinds)
    )


def made(name: str) -> nn.Module:
    with torch.device("meta"):
        return make_network(name)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_as_large_as_documented(name: str) -> None:
    entry, model = NETWORKS[name], made(name)
    relus = [each for each in model.modules() if isinstance(each, nn.ReLU)]
    assert len(relus) == entry.sites
    row = next(line for line in PAGE.read_text("utf-8").splitlines() if f"| {name} |" in line)
    assert f"| {weights(model):,} |" in row
    assert f"| {entry.documented or 'none'} |" in row
    if not entry.documented:
        return
    digits = entry.documented.rstrip("M").replace(",", "")
    unit = 1e6 if entry.documented.endswith("M") else 1.0
    last = unit * 10.0 ** -len(digits.partition(".")[2])
    found = [weights(model, norm=norm) for norm in (True, False)]
    if unit == 1.0:
        assert found[0] == int(digits)
    else:  # papers round, some of them down, and most leave normalisation out
        printed = float(digits) * unit
        assert min(abs(each - printed) for each in found) <= max(last, 0.01 * printed)


def test_those_without_a_source_are_what_their_formula_gives() -> None:
    assert weights(made("F1")) == 784 * 512 + 512 + 4 * (512 * 512 + 512) + 5130
    plain = weights(made("ResNet-20 v1"), norm=False)
    assert weights(made("ConvNet-20"), norm=False) == plain
    assert weights(made("FixUp-20")) == plain + 9 * 5 + 2
    assert weights(made("ToyNet-20"), norm=False) == 27 * 32 + 18 * 9 * 32 * 32 + 330
    with torch.device("meta"):
        assert weights(toynet(20, norm=False)) == weights(made("ToyNet-20"), norm=False) + 19 * 32


SMALL: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "F1": (f1, (1, 28, 28), 5),
    "ToyNet": (lambda: toynet(8, channels=1), (1, 8, 8), 7),
    "ToyNet without BN": (lambda: toynet(8, norm=False), (3, 8, 8), 7),
    "ConvNet": (lambda: convnet(8), (3, 9, 9), 7),
    "ResNet v1": (lambda: cifar_resnet(14, version=1), (3, 8, 8), 13),
    "ResNet v2": (lambda: cifar_resnet(14), (3, 9, 9), 13),
    "ResNet v2, bottlenecks": (lambda: cifar_resnet(11, bottleneck=True), (3, 8, 8), 10),
    "ResNet v1, bottlenecks": (
        lambda: cifar_resnet(11, version=1, bottleneck=True),
        (3, 8, 8),
        10,
    ),
    "PyramidNet": (lambda: pyramidnet(14), (3, 9, 9), 7),
    "FixUp": (lambda: fixup_resnet(8), (3, 8, 8), 7),
    "EightConvs": (lambda: eight_convs((4, 4, 8, 8, 8, 8, 16, 16)), (3, 16, 16), 8),
    "VGG": (lambda: vgg(11, dense=False, classes=10), (3, 32, 32), 8),
    "M5": (lambda: waveform_net("M5"), (1, 4000), 4),
    "M11": (lambda: waveform_net("M11"), (1, 4000), 10),
    "ResNet-18 v1": (lambda: resnet(18, classes=10), (3, 32, 32), 17),
    "ResNet-18 v2": (lambda: resnet(18, version=2, classes=10), (3, 32, 32), 17),
}


def exported(model: nn.Module, x: Tensor) -> bytes:
    stream: Any = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(),
            (x,),
            stream,
            dynamo=False,
            dynamic_axes={"x": {0: "N"}},
            input_names=["x"],
        )
    found: bytes = stream.getvalue()
    return found


@pytest.mark.parametrize("name", SMALL)
def test_a_network_is_exported_and_analysed(name: str) -> None:
    make, shape, sites = SMALL[name]
    torch.manual_seed(0)
    model = make()
    x = torch.randn(3, *shape)
    model.train()(x)  # running statistics other than 0 and 1
    file = exported(model, x)
    assert len(find_sites(load(file))) == sites
    result = reluflow.analyze(load(file), data=x.numpy())
    assert len(result.sites) == sites
    assert all(site.samples % 3 == 0 for site in result.sites)


def silence(unit: Any) -> None:
    nn.init.zeros_(unit.layers[-1].weight)


def test_shortcuts_add_the_input() -> None:
    x = torch.rand(1, 16, 4, 4)
    fixed = FixUpUnit(16, 21, 2, units=9)
    assert torch.equal(fixed(x)[:, :16], x[:, :, ::2, ::2])
    pyramid = PyramidUnit(16, 21, 2)
    silence(pyramid)
    assert torch.allclose(pyramid(x)[:, :16], nn.functional.avg_pool2d(x, 2))
    assert torch.equal(pyramid(x)[:, 16:], torch.zeros(1, 5, 2, 2))
    assert ZeroPadded(1, 0)(x) is x


def test_without_shortcuts_a_unit_is_its_branch() -> None:
    x = torch.randn(2, 3, 8, 8)
    torch.manual_seed(1)
    with_them = cifar_resnet(8)
    torch.manual_seed(1)
    without = convnet(8)
    assert with_them.state_dict().keys() == without.state_dict().keys()
    assert not torch.equal(with_them(x), without(x))
    for model in (with_them, without):
        for unit in list(model)[1:4]:
            silence(unit)
    assert not torch.equal(with_them(x)[0], with_them(x)[1])  # the input still reaches the end
    assert torch.equal(without(x)[0], without(x)[1])


def test_fixup_starts_with_equal_logits_and_learns() -> None:
    model = fixup_resnet(8)
    answer = model(torch.randn(4, 3, 8, 8))
    assert torch.equal(answer, torch.zeros(4, 10))
    nn.functional.cross_entropy(answer, torch.arange(4)).backward()
    assert all(weight.grad is not None for weight in model.parameters())


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: cifar_resnet(21), r"depth is 21; give 6 n \+ 2, such as 8 or 20"),
        (lambda: cifar_resnet(14, bottleneck=True), r"depth is 14; give 9 n \+ 2, such as 11"),
        (lambda: pyramidnet(2), "depth is 2; give 6 n"),
        (lambda: cifar_resnet(version=3), "version is 3; give 1 or 2"),
        (lambda: cifar_resnet(widths=(8, 16)), r"widths are \[8, 16\]; give one for each"),
        (lambda: vgg(12), "depth is 12; give one of 11, 13, 16, 19"),
        (lambda: resnet(20), "depth is 20 and version 1; give a depth of 18, 34"),
        (lambda: waveform_net("M4"), "name is 'M4'; give one of M3, M5, M11, M18"),
        (lambda: eight_convs((8,)), r"widths are \[8\]; give one for each of eight"),
        (lambda: make_network("LeNet"), "name is 'LeNet'; give one of F1, "),
    ],
)
def test_what_there_is_not_is_refused(make: Callable[[], object], match: str) -> None:
    with pytest.raises(OptionError, match=match):
        make()


def test_convolutions_start_as_he_et_al_have_it() -> None:
    torch.manual_seed(0)
    model = cifar_resnet(20)
    last = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)][-1]
    assert last.weight.std().item() == pytest.approx(np.sqrt(2 / (9 * 64)), rel=0.02)


def test_the_page_has_no_other_network() -> None:
    rows = re.findall(r"^\| ([^|]+) \| [\d,]+ \|", PAGE.read_text("utf-8"), re.M)
    assert sorted(rows) == sorted(NETWORKS)

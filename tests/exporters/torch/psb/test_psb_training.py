"""Training on drawn weights: the operators' draws, straight-through gradients, and the way back."""

import copy
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import reluflow
from reluflow.errors import ModelError, OptionError
from reluflow.graph import load
from reluflow.psb import SAMPLES, decode, encode, random_bits32, sampled_weights
from reluflow.sessions import open_session
from reluflow_torch.psb import PsbTraining, drawing, drawn_weights


def spread(seed: int = 0) -> np.ndarray:
    """Return weights over many octaves, with zeros, powers of two, and a channel of zeros."""
    rng = np.random.default_rng(seed)
    w = rng.standard_normal((6, 40)) * np.exp2(-rng.integers(0, 18, (6, 40)))
    w[1], w[2, ::3], w[3, :6] = 0, 0, np.exp2(np.arange(6.0) - 3)
    w[4] *= 1 - 2.0**-9
    return w.astype(np.float32)


@pytest.mark.parametrize("samples", SAMPLES)
@pytest.mark.parametrize("p_bits", [1, 4, 16])
@pytest.mark.parametrize("sampler", ["systematic", "nearest"])
def test_draws_are_those_of_the_operators_to_the_bit(
    samples: int, p_bits: int, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    channels = np.arange(6, dtype=np.uint32)
    words = {16: random_bits32(channels, 7, 2), 17: random_bits32(~channels, 7, 2)}

    def bits(code: Any, count: int, generator: Any) -> Tensor:
        return torch.from_numpy(words[count].astype(np.int64) & ((1 << count) - 1))[:, None]

    monkeypatch.setattr(drawing, "_bits", bits)
    drawn = drawn_weights(torch.from_numpy(spread()), samples, p_bits=p_bits, sampler=sampler)
    code = encode(spread(), p_bits=p_bits)
    assert np.array_equal(drawn.numpy(), sampled_weights(code, samples, sampler, 7, 2))


@pytest.mark.parametrize("sampler", ["systematic", "binomial"])
def test_draws_have_the_mean_and_the_variance_of_the_code(sampler: str) -> None:
    row = torch.tensor([1.0, 1.25, -1.5, 0.4])
    w = row.expand(20_000, 4).reshape(20_000, 4)
    drawn = drawn_weights(w, 4, sampler=sampler, generator=torch.Generator().manual_seed(3))
    code = encode(row.numpy()[None], p_bits=4)
    p = code.q[0] / 16
    one = np.exp2(2 * code.exponent[0])
    if sampler == "binomial":
        variance = one * p * (1 - p) / 4
    else:
        rest = 4 * p % 1
        variance = one * rest * (1 - rest) / 16
    assert np.allclose(drawn.mean(0).numpy(), decode(code)[0], atol=0.01)
    assert np.allclose(drawn.var(0).numpy(), variance, atol=0.005)


class Net(nn.Module):
    """Convolutions with normalisation, a depthwise one, a sum, and dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.BatchNorm2d(6)
        self.after = nn.BatchNorm2d(6)
        self.dense1, self.bn3 = nn.Linear(6, 8), nn.BatchNorm1d(8, affine=False)
        self.dense2 = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x)).relu()
        x = self.after(x + self.bn2(self.conv2(x))).relu()
        return self.dense2(self.bn3(self.dense1(x.mean((2, 3)))).relu())


def trained(samples: int = 4, **options: Any) -> tuple[Net, PsbTraining, Tensor]:
    torch.manual_seed(0)
    model, x = Net(), torch.randn(8, 1, 6, 6)
    with torch.no_grad():
        for norm in (model.bn1, model.bn2):
            norm.weight.uniform_(-1.5, 1.5)
            norm.bias.uniform_(-0.5, 0.5)
    for _ in range(20):
        model(2 * torch.randn(8, 1, 6, 6))
    return model, PsbTraining(model, x, samples, **options), x


def test_normalisation_is_found_where_a_conversion_folds_it() -> None:
    _, psb, _ = trained(exclude=["dense2"])
    assert psb.layers == {"conv1": "bn1", "conv2": "bn2", "dense1": "bn3"}
    assert psb.left_out.keys() == {"after", "dense2"}
    assert "follows no single product" in psb.left_out["after"]


def test_the_dry_run_leaves_the_model_as_it_was() -> None:
    torch.manual_seed(0)
    model = Net()
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    psb = PsbTraining(model, torch.randn(4, 1, 6, 6, generator=torch.Generator()))
    assert model.training and bool((torch.get_rng_state() == state).all())
    psb.remove()
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_gradient_passes_straight_through() -> None:
    model, psb, x = trained(1, sampler="binomial")
    weight = model.dense2.parametrizations["weight"].original  # type: ignore[index, union-attr]
    seen: list[Tensor] = []
    model.dense2.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model(x).sum().backward()
    # d loss / d w of a sum of outputs is the sum of inputs, whatever w was drawn as
    assert torch.allclose(weight.grad, seen[0].sum(0).expand(3, -1), atol=1e-5)
    assert psb.samples == 1


def test_one_seed_gives_one_training_and_a_checkpoint_resumes_it() -> None:
    def step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor) -> float:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    losses = []
    for seed in (5, 5, 6):
        model, _, x = trained(4, sampler="binomial", seed=seed)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        losses.append([step(model, optimizer, x) for _ in range(4)])
        if len(losses) == 1:
            first = copy.deepcopy(losses[0])
    assert losses[0] == losses[1] == first != losses[2]

    model, _, x = trained(4, sampler="binomial", seed=5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(2):
        step(model, optimizer, x)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    again, _, _ = trained(4, sampler="binomial", seed=5)
    again.load_state_dict(torch.load(file))
    optimizer = torch.optim.SGD(again.parameters(), lr=0.05)
    assert [step(again, optimizer, x) for _ in range(2)] == losses[0][2:]


def export(model: nn.Module, x: Tensor, path: Path) -> Path:
    torch.onnx.export(
        model,
        (x,),
        str(path),
        dynamo=False,
        opset_version=17,
        input_names=["x"],
        output_names=["y"],
        dynamic_axes={"x": {0: "n"}, "y": {0: "n"}},
    )
    return path


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_exported_file_draws_from_the_trained_codes(tmp_path: Path) -> None:
    model, psb, x = trained(0, p_bits=3)
    file = export(psb.folded(), x, tmp_path / "folded.onnx")
    made = reluflow.convert(file, tmp_path / "psb.onnx", options=psb.options)
    psb.check_file(made.model)
    assert len(made.result.done.converted) == 5  # four layers, and the normalisation of the sum
    model.eval()
    with torch.no_grad():
        wanted = model(x).numpy()
    [found] = open_session(load(tmp_path / "psb.onnx")).run({"x": x.numpy()})
    assert np.abs(found - wanted).max() < 0.02 * np.abs(wanted).max()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_file_of_other_weights_is_refused(tmp_path: Path) -> None:
    _, psb, x = trained()
    other = psb.folded()
    with torch.no_grad():
        other.dense2.weight.mul_(1.5)  # type: ignore[operator, union-attr]
    made = reluflow.convert(export(other, x, tmp_path / "other.onnx"), options=psb.options)
    with pytest.raises(ModelError, match="does not draw from the trained weights of 'dense2'"):
        psb.check_file(made.model)


def test_training_on_draws_helps() -> None:
    torch.manual_seed(0)
    x = torch.randn(256, 2)
    y = (torch.sin(4 * x[:, 0]) * x[:, 1] > 0).long()
    model = nn.Sequential(
        nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2)
    )

    def fit(steps: int) -> None:
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(steps):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()

    def right() -> float:
        with torch.no_grad():
            return float((model(x).argmax(1) == y).float().mean())

    fit(300)
    psb = PsbTraining(model, x, 1)
    in_place = right()
    fit(100)
    assert right() > in_place + 0.02
    assert psb.sampler == "nearest"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"samples": 3}, "samples is 3; give one of 0, 1, 2"),
        ({"p_bits": 5}, "p_bits is 5; give one of 1, 2"),
        ({"sampler": "coin"}, "sampler is 'coin'; give one of 'systematic'"),
        ({"exclude": ["dense9"]}, "exclude names 'dense9', which no layer"),
        (
            {"exclude": ["conv1", "conv2", "dense1", "dense2"]},
            "model has no Linear, Conv1d or Conv2d",
        ),
    ],
)
def test_a_wrong_option_is_one_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        PsbTraining(Net(), torch.zeros(2, 1, 6, 6), **options)


def test_what_draws_already_and_computed_weights_are_refused() -> None:
    model, psb, x = trained()
    with pytest.raises(OptionError, match="model draws its weights already"):
        PsbTraining(model, x)
    with pytest.raises(OptionError, match="samples is 5"):
        psb.samples = 5
    with pytest.raises(OptionError, match="sampler is 'coin'"):
        psb.sampler = "coin"
    normed = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)))
    with pytest.raises(OptionError, match="'0' is parametrised, as by weight_norm"):
        PsbTraining(normed, torch.zeros(1, 2))


def test_layers_that_a_conversion_stores_otherwise_are_left_out() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shared, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)
            self.up = nn.ConvTranspose1d(1, 1, 2)
            self.idle = nn.Linear(4, 4)
            self.front, self.behind = nn.BatchNorm1d(4), nn.Linear(4, 4)
            self.twice, self.read = nn.Linear(4, 4), nn.BatchNorm1d(4)

        def forward(self, x: Tensor) -> Tensor:
            x = self.norm(self.shared(self.shared(x)))
            x = self.behind(self.front(x.relu()))
            y = self.twice(x)
            return self.read(y) + y + self.up(x[:, None, :3])[:, 0]

    psb = PsbTraining(Odd(), torch.randn(4, 4))
    assert psb.layers == {"shared": None, "twice": None}
    why = psb.left_out
    assert "ConvTranspose1d is not trained" in why["up"]
    assert "did not run" in why["idle"]
    assert "runs more than once" in why["norm"]
    assert "may fold 'front'" in why["behind"]
    assert "other readers" in why["read"]

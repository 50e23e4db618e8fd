"""GELU, SiLU and their like count as switches where a network has no other, with a note."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_nets import MILD, images, train, vectors

from reluflow.errors import OptionError
from reluflow.temperature import PowerSchedule
from reluflow_torch import ActCoolLR, PatternMonitor, SmoothWarning, sensitivity

STEPS = 8
# the compiler of torch imports modules of its own that are deprecated
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


class Gated(nn.Module):
    """A gated layer as in many language models: a function and a normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(12)
        self.gate, self.up, self.down = nn.Linear(12, 24), nn.Linear(12, 24), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        return self.down(nn.functional.silu(self.gate(x)) * self.up(x))


def dense(*kinds: type[nn.Module]) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Linear(12, 24)]
    for kind in kinds:
        layers += [kind(), nn.BatchNorm1d(24), nn.Linear(24, 24)]
    return nn.Sequential(*layers, nn.Linear(24, 5))


def convolutional() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.Mish(), nn.Flatten(), nn.Linear(8 * 36, 16), nn.ELU(),
        nn.Linear(16, 5),
    )  # fmt: skip


NETS: dict[str, tuple[Callable[[], nn.Module], list[str], str]] = {
    "GELU": (lambda: dense(nn.GELU, nn.GELU), ["1", "4"], "gelu"),
    "a function": (Gated, ["silu"], "silu"),
    "several": (convolutional, ["1", "4"], "mish, elu"),
    "compiled": (lambda: dense(nn.Softplus), ["1"], "softplus"),
}


def batches_of(name: str) -> list[tuple[Tensor, Tensor]]:
    return images(STEPS) if name == "several" else vectors(STEPS)


def cooled(name: str, smooth: bool | None, **options: Any) -> tuple[Any, list[list[float]]]:
    torch.manual_seed(0)
    model = NETS[name][0]()
    called: Any = torch.compile(model, backend="aot_eager") if name == "compiled" else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    settings: dict[str, Any] = {} if smooth is None else {"smooth": smooth}
    scheduler = ActCoolLR(optimizer, called, STEPS, schedule=MILD, **settings, **options)
    return scheduler, train(called, optimizer, batches_of(name), scheduler)


@pytest.mark.parametrize(
    ("name", "examples"),
    [*((name, None) for name in NETS), ("a function", 32), ("several", 16)],
)
def test_without_an_option_the_rates_are_those_with_it(name: str, examples: int | None) -> None:
    with pytest.warns(SmoothWarning, match=rf"\({NETS[name][2]}\) count as switches") as told:
        scheduler, rates = cooled(name, None, examples=examples)
    assert len(told) == 1
    asked, expected = cooled(name, True, examples=examples)
    assert rates == expected
    assert scheduler.distances == asked.distances
    assert [site.name for site in scheduler.distances.sites] == NETS[name][1]
    with pytest.raises(OptionError, match=r"ran no ReLU .* leave smooth=False out if it uses GELU"):
        cooled(name, False, examples=examples)


@pytest.mark.parametrize("kind", [nn.ReLU, nn.LeakyReLU, nn.Hardswish])
@pytest.mark.parametrize("other", [nn.GELU, nn.SiLU])
def test_beside_another_switch_they_do_not_count(kind: Any, other: Any) -> None:
    torch.manual_seed(0)
    model = dense(other, kind, other)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    cold = PowerSchedule(start=0.2)  # the site is early: at more bits later layers run away
    scheduler = ActCoolLR(optimizer, model, STEPS, schedule=cold, examples=None)
    monitor = PatternMonitor(optimizer, model, every=1, measures_every=1)
    train(model, optimizer, vectors(STEPS), scheduler)
    assert scheduler.distances is not None
    assert [site.name for site in scheduler.distances.sites] == ["4"]
    assert monitor.distances is not None
    assert [site.name for site in monitor.distances.sites] == ["4"]
    assert scheduler.forward_passes == scheduler.n_probes + scheduler.controller.n_measurements


@pytest.mark.parametrize("every", [0, 1])
def test_a_monitor_measures_them_too(every: int) -> None:
    """Also where it measures patterns before any distance."""
    found = []
    for smooth in (None, True):
        torch.manual_seed(0)
        model = dense(nn.GELU, nn.SiLU)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", SmoothWarning)
            monitor = PatternMonitor(
                optimizer,
                model,
                every=every,
                measures_every=1,
                smooth=smooth,
                sweep_every=4 * every,
            )
            measured = []
            for x, y in vectors(3):
                train(model, optimizer, [(x, y)])
                measured.append(copy.deepcopy(monitor.state_dict()))
        assert len(told) == (smooth is None)
        found.append((repr(measured), monitor.layers, monitor.distances))
    assert found[0] == found[1]
    assert list(found[0][1]) == ["1", "4"]


def test_a_sensitivity_measures_them_too() -> None:
    torch.manual_seed(0)
    model = dense(nn.GELU)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = [((x,), y) for x, y in vectors(2)]
    with pytest.warns(SmoothWarning, match="model Sequential runs no ReLU or other switch") as told:
        found = sensitivity(model, optimizer, batches, rates=[1e-3, 1e-1, 1e1])
    assert len(told) == 1
    asked = sensitivity(model, optimizer, batches, rates=[1e-3, 1e-1, 1e1], smooth=True)
    assert found.sites == asked.sites == ("1",)
    assert found.mean.tolist() == asked.mean.tolist()


def test_a_resumed_training_goes_on_alike() -> None:
    def run(killed_at: int | None) -> list[Any]:
        torch.manual_seed(0)
        model = Gated()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = ActCoolLR(optimizer, model, STEPS, schedule=MILD)
        rates = []
        for step, batch in enumerate(vectors(STEPS)):
            if step == killed_at:
                parts: list[Any] = [model, optimizer, scheduler]
                states = [copy.deepcopy(part.state_dict()) for part in parts]
                model = Gated()
                optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
                scheduler = ActCoolLR(optimizer, model, STEPS, schedule=MILD)
                parts = [model, optimizer, scheduler]
                for part, state in zip(parts, states, strict=True):
                    part.load_state_dict(state)
            rates += train(model, optimizer, [batch], scheduler)
        return rates

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmoothWarning)
        whole = run(None)
        for killed_at in (1, 4, 7):
            assert run(killed_at) == whole


def test_nothing_at_all_is_still_refused() -> None:
    model = nn.Sequential(nn.Linear(12, 9), nn.Tanh(), nn.Linear(9, 5))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    _scheduler = ActCoolLR(optimizer, model, STEPS)
    with pytest.raises(OptionError, match="Sequential ran no ReLU or other switch site"):
        train(model, optimizer, vectors(1))


def vit() -> Any:
    import transformers

    config = transformers.ViTConfig(
        image_size=8, patch_size=4, num_channels=1, hidden_size=16, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=32,
    )  # fmt: skip
    config.num_labels = 5
    return transformers.ViTForImageClassification(config), {"pixel_values": images(1)[0][0]}


def llama() -> Any:
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=30, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=16,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config), {"input_ids": torch.arange(48).view(4, 12) % 30}


@pytest.mark.parametrize(("make", "op"), [(vit, "gelu"), (llama, "silu")])
def test_transformers_are_cooled_without_an_option(make: Callable[[], Any], op: str) -> None:
    pytest.importorskip("transformers")
    torch.manual_seed(0)
    model, inputs = make()
    labels = inputs.get("input_ids", torch.arange(32) % 5)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    scheduler = ActCoolLR(optimizer, model, STEPS, schedule=MILD)
    with pytest.warns(SmoothWarning, match=rf"\({op}\)"):
        for _ in range(STEPS):
            optimizer.zero_grad()
            model(**inputs, labels=labels).loss.backward()
            optimizer.step()
            scheduler.step()
    assert scheduler.distances is not None
    assert len(scheduler.distances.sites) == 2
    assert 0 < scheduler.distances.mean_distance < 1

"""Mixed precision: the same autocast in the probe, and steps that GradScaler skips."""

import pytest
import torch
from torch import nn
from torch_nets import MILD, SmallCNN, images

from reluflow_torch import ActCoolLR


def train_mixed(scaler: torch.amp.GradScaler | None, *, fused: bool, steps: int) -> ActCoolLR:
    """Train in bfloat16; record whether the probe ran in it too."""
    model = SmallCNN()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, fused=fused)
    scheduler = ActCoolLR(optimizer, model, steps, schedule=MILD)
    types = set()
    model.second.register_forward_hook(lambda module, args, result: types.add(result.dtype))
    for x, y in images(steps):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = nn.functional.cross_entropy(model(x), y)
        if scaler is None:
            loss.backward()
            optimizer.step()
        else:
            scaler.scale(4.0 * loss).backward()
            scaler.step(optimizer)
            scaler.update()
        scheduler.step()
    assert types == {torch.bfloat16}
    assert all(p.dtype == torch.float32 for p in model.parameters())
    return scheduler


def test_the_probe_runs_under_the_autocast_of_the_training() -> None:
    scheduler = train_mixed(None, fused=False, steps=10)
    assert scheduler.n_probes == 9


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step:UserWarning")
@pytest.mark.parametrize("fused", [False, True])
def test_a_skipped_step_is_not_observed(fused: bool) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=10**6)
    scheduler = train_mixed(scaler, fused=fused, steps=24)
    assert scaler.get_scale() < 2.0**127
    taken = scheduler.controller.steps
    assert 0 < taken < 24
    assert scheduler.last_epoch == 24
    assert scheduler.controller.n_fits >= 1


@pytest.mark.parametrize("fused", [False, True])
def test_a_scaled_training_has_the_rates_of_an_unscaled_one(fused: bool) -> None:
    unit = torch.amp.GradScaler("cpu", init_scale=1.0)
    plain = train_mixed(unit, fused=fused, steps=10)
    scaled = train_mixed(torch.amp.GradScaler("cpu", init_scale=256.0), fused=fused, steps=10)
    assert scaled.controller.rate == pytest.approx(plain.controller.rate, rel=0.05)

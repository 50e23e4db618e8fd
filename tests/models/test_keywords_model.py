"""The shipped keyword network agrees with its card, and its clips are what the recipe makes."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

pytest.importorskip("scipy")
from keywords.speech import (
    ACCENTS,
    CLASS_NAMES,
    KEYWORDS,
    RATE,
    UNSEEN,
    VARIANTS,
    Spoken,
    cepstra,
    clip_of,
    say,
    to_steps,
)

MODELS = Path(__file__).resolve().parents[2] / "models"
CARD = (MODELS / "keywords_dscnn.md").read_text(encoding="utf-8")
MODEL, TEST, CALIBRATION = "keywords_dscnn.onnx", "keywords_test.npz", "keywords_calibration.npz"


def cells_of(name: str) -> list[str]:
    (row,) = re.findall(rf"^\| `?{re.escape(name)}`? \| (.*) \|$", CARD, re.MULTILINE)
    return [cell.strip("` ") for cell in row.split("|")]


@pytest.mark.parametrize("name", [MODEL, TEST, CALIBRATION])
def test_size_and_hash_are_the_cards(name: str) -> None:
    content = (MODELS / name).read_bytes()
    cells = cells_of(name)
    assert cells[0] == f"{len(content):,}"
    assert cells[-1] == hashlib.sha256(content).hexdigest()
    assert len(content) < 700e3


def test_nodes_and_interface_are_the_cards() -> None:
    model = onnx.load(MODELS / MODEL)
    onnx.checker.check_model(model, full_check=True)
    counts = Counter(node.op_type for node in model.graph.node)
    assert {op: [str(count)] for op, count in counts.items()} == {op: cells_of(op) for op in counts}
    assert (counts["Conv"], counts["BatchNormalization"], counts["Relu"]) == (9, 9, 9)
    assert f"Opset {model.opset_import[0].version}, IR version {model.ir_version}," in CARD


def test_accuracy_is_the_cards() -> None:
    """One clip either way leaves room for another machine's rounding of a near tie."""
    session = onnxruntime.InferenceSession(MODELS / MODEL, providers=["CPUExecutionProvider"])
    with np.load(MODELS / TEST) as arrays:
        found = session.run(["logits"], {"cepstra": arrays["cepstra"]})[0].argmax(1)
        right = int((found == arrays["label"]).sum())
    told, of = map(int, cells_of(MODEL)[1].split(" of "))
    assert of == len(found)
    assert abs(right - told) <= 1
    assert told / of > 0.9


@pytest.mark.parametrize("name", [TEST, CALIBRATION])
def test_clips_have_the_form_that_the_card_tells(name: str) -> None:
    with np.load(MODELS / name) as arrays:
        inputs, labels = arrays["cepstra"], arrays["label"]
    assert (inputs.dtype, inputs.shape[1:]) == (np.dtype(np.float32), (1, 49, 10))
    assert (labels.dtype, labels.shape) == (np.dtype(np.int64), inputs.shape[:1])
    assert set(labels) == set(range(len(CLASS_NAMES)))
    assert np.array_equal(np.rint(inputs * 32) / 32, inputs)
    assert (inputs.min(), inputs.max()) >= (-4, -4)
    assert inputs.max() <= 127 / 32


def test_voices_of_the_test_are_not_those_of_training() -> None:
    assert len(set(VARIANTS)) == len(VARIANTS)
    assert set(UNSEEN) < set(VARIANTS)
    families = [
        {voice.rstrip("0123456789") for voice in voices if len(voice) > 2}
        for voices in (set(UNSEEN), set(VARIANTS) - set(UNSEEN))
    ]
    assert not families[0] & families[1]
    told = f"{len(VARIANTS) - len(UNSEEN)} voices and 952 test clips of {len(UNSEEN)} others"
    assert told in CARD


def test_a_tone_is_loud_in_its_band_and_silence_is_noise() -> None:
    rng = np.random.default_rng(3)
    tone = np.sin(2 * np.pi * 440 * np.arange(RATE // 2) / RATE).astype(np.float32)
    clip = clip_of(Spoken(tone, 0), rng)
    assert (clip.dtype, clip.shape) == (np.dtype(np.float32), (RATE,))
    power = np.abs(np.fft.rfft(clip)) ** 2
    assert abs(power.argmax() - 440) <= 1
    silence = np.abs(np.fft.rfft(clip_of(None, rng))) ** 2
    assert silence.max() / silence.sum() < 0.2 < power.max() / power.sum()


def test_coefficients_know_loudness_and_shape() -> None:
    noise = np.random.default_rng(5).standard_normal(RATE).astype(np.float32)
    soft, loud = cepstra(noise), cepstra(10 * noise)
    assert (soft.dtype, soft.shape) == (np.dtype(np.float32), (49, 10))
    louder = np.log(100) * np.sqrt(40)  # the first coefficient is the sum of 40 bands over sqrt(40)
    assert np.allclose(loud[:, 0] - soft[:, 0], louder, atol=1e-3)
    assert np.allclose(loud[:, 1:], soft[:, 1:], atol=1e-3)
    steps = to_steps(soft[None], soft.mean(0), soft.std(0))
    assert steps.shape == (1, 1, 49, 10)
    assert abs(steps.mean()) < 0.05


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_a_word_is_said_faster() -> None:
    slow, fast = (say(KEYWORDS[0], "en", "m1", speed, 50) for speed in (120, 220))
    assert slow.dtype == np.float32
    assert len(fast) < len(slow) < RATE
    assert 0.05 < np.abs(slow).max() <= 1


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_each_accent_has_all_voices() -> None:
    said = {
        say(KEYWORDS[0], accent, voice, 150, 50).tobytes()
        for accent in ACCENTS
        for voice in ("m1", "f2", "Alex")
    }
    assert len(said) == 3 * len(ACCENTS)


def test_without_espeak_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match="install Debian's package espeak-ng"):
        say("yes", "en", "m1", 150, 50)

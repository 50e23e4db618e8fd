"""Spoken words made by espeak-ng, and the cepstral coefficients that a small network hears.

Nobody spoke these words: espeak-ng (Debian's package of that name) synthesises them by rules, in
many voices. What a network does on them says nothing about people.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.signal import resample_poly

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
OTHERS = tuple(
    "bed bird cat dog eight five four happy house marvin nine one seven sheila six three tree two "
    "wow zero learn forward follow visual back green water paper".split()
)
CLASS_NAMES = (*KEYWORDS, "unknown", "silence")
RATE = 16_000
"""Samples per second; a clip is as long."""
FRAMES, COEFFICIENTS = 49, 10
_FRAME, _HOP, _FFT, _BANDS = 640, 320, 1024, 40
_LOW, _HIGH = 20.0, 4000.0
_SPOKEN_RATE = 22_050
ACCENTS = tuple("en en-us en-gb-scotland en-gb-x-gbclan en-gb-x-rp en-gb-x-gbcwmd en-029".split())
"""Not en-gb, which is en but has one voice only: it ignores the others without a word."""
VARIANTS = tuple(
    "adam Alex Alicia Andrea Andy Annie antonio aunty belinda benjamin boris caleb david "
    "Denis Diogo ed edward edward2 Gene Gene2 Gustave Henrique Hugo iven iven2 iven3 iven4 "
    "Jacky john kaukovalta Lee linda marcelo Marco Mario max Michael michel miguel Nguyen "
    "pablo paul pedro quincy rob robert steph steph2 steph3 Storm Tweaky zac anika "
    "AnxiousAndy f1 f2 f3 f4 f5 grandma grandpa klatt2 klatt3 klatt4 klatt5 m1 m2 m3 m4 m5 m6 "
    "m7 m8 norbert sandro shelby travis victor croak whisper whisperf".split()
)
"""Voices that differ: some of espeak-ng's names stand for the same one."""
UNSEEN = tuple(
    "Alicia benjamin Denis Gustave iven iven2 iven3 iven4 linda Michael pablo steph steph2 "
    "steph3 f3 m4 m7".split()
)
"""Voices of the test: none of them is heard in training, nor one of nearly the same name."""


@dataclass(frozen=True)
class Spoken:
    """One word as it was said.

    Attributes:
        samples: float32, from -1 to 1, `RATE` per second, as long as the word is.
        label: place in `CLASS_NAMES`.
    """

    samples: NDArray[np.float32]
    label: int


def say(word: str, accent: str, variant: str, speed: int, pitch: int) -> NDArray[np.float32]:
    """Returns a word as espeak-ng says it.

    Args:
        word: to say.
        accent: one of `ACCENTS`.
        variant: one of `VARIANTS`.
        speed: in words per minute.
        pitch: from 0 to 99.

    Raises:
        SystemExit: espeak-ng is not installed.
    """
    program = shutil.which("espeak-ng")
    if program is None:
        raise SystemExit("espeak-ng is not installed: install Debian's package espeak-ng.")
    line = [program, "-v", f"{accent}+{variant}", "-s", str(speed), "-p", str(pitch), "--stdout"]
    done = subprocess.run([*line, word], check=True, capture_output=True)
    with wave.open(io.BytesIO(done.stdout)) as sound:
        if sound.getframerate() != _SPOKEN_RATE:
            given = sound.getframerate()
            raise SystemExit(f"espeak-ng gave {given} samples per second, not {_SPOKEN_RATE}.")
        raw = np.frombuffer(done.stdout[44:], "<i2")
    samples = resample_poly(raw.astype(np.float32) / 32768, 320, 441).astype(np.float32)
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples


def speak(variants: Sequence[str], times: int, rng: np.random.Generator) -> list[Spoken]:
    """Lets each voice say each keyword some times, and as many other words as three keywords.

    Args:
        variants: voices.
        times: that each keyword is said, each time with another accent, speed and pitch.
        rng: of these choices.
    """
    found = []
    for variant in variants:
        words = [(word, k) for k, word in enumerate(KEYWORDS)] * times
        words += [(str(w), len(KEYWORDS)) for w in rng.choice(OTHERS, 3 * times, replace=False)]
        for word, label in words:
            accent = str(rng.choice(ACCENTS))
            speed, pitch = int(rng.integers(110, 230)), int(rng.integers(15, 85))
            found.append(Spoken(say(word, accent, variant, speed, pitch), label))
    return found


def clip_of(spoken: Spoken | None, rng: np.random.Generator) -> NDArray[np.float32]:
    """Returns a second with a word somewhere in it, or none, in noise.

    The noise has a power of 1 / f^a, a from 0 to 2, and lies 0 to 40 dB below the word.

    Args:
        spoken: the word; None for silence.
        rng: of place, loudness and noise.
    """
    clip = np.zeros(RATE, np.float32)
    level = 10.0 ** rng.uniform(-2.0, -0.7)
    if spoken is not None:
        word = spoken.samples[:RATE]
        at = int(rng.integers(0, RATE - len(word) + 1))
        clip[at : at + len(word)] = word * np.float32(level / np.sqrt(np.mean(word**2) + 1e-12))
    spectrum = np.fft.rfft(rng.standard_normal(RATE))
    spectrum *= np.maximum(np.arange(len(spectrum)), 20.0) ** (-rng.uniform(0.0, 1.0))
    noise = np.fft.irfft(spectrum, RATE)
    noise *= level * 10.0 ** (-rng.uniform(0.0, 2.0)) / noise.std()
    clip += noise.astype(np.float32)
    return clip


def _mel_bands() -> NDArray[np.float64]:
    def mel(hertz: NDArray[Any]) -> NDArray[Any]:
        return 1127.0 * np.log1p(hertz / 700.0)

    low, high = mel(np.array([_LOW, _HIGH])).tolist()
    edges = np.linspace(low, high, _BANDS + 2)
    at = mel(np.fft.rfftfreq(_FFT, 1 / RATE))[:, None]
    rising = (at - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - at) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling))


def cepstra(clip: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the mel-frequency cepstral coefficients of a second.

    Frames of 40 ms, one each 20 ms, 40 bands from 20 to 4,000 Hz, ten coefficients: what the
    keyword network of MLPerf Tiny takes.

    Args:
        clip: float32 `(16000,)`.

    Returns:
        float32 `(49, 10)`.
    """
    frames = np.lib.stride_tricks.sliding_window_view(clip, _FRAME)[::_HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(_FRAME), _FFT)) ** 2
    bands = np.log(power @ _mel_bands() + 1e-6)
    found: NDArray[np.float32] = dct(bands, norm="ortho")[:, :COEFFICIENTS].astype(np.float32)
    return found


def to_steps(values: NDArray[np.float32], mean: object, scale: object) -> NDArray[np.float32]:
    """Brings coefficients to the form that the network takes: bytes between -4 and 4.

    Args:
        values: float32 `(n, 49, 10)`.
        mean: of each coefficient.
        scale: standard deviation of each coefficient.

    Returns:
        float32 `(n, 1, 49, 10)`: multiples of 1/32 from -4 to 127/32.
    """
    steps = np.rint((values - np.asarray(mean)) / np.asarray(scale) * 32)
    return (np.clip(steps, -128, 127) / 32).astype(np.float32)[:, None]

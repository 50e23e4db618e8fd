"""Pictures of temperature: phase diagrams, heatmaps over time, schedules, transitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from PIL import Image

from reluflow.errors import DataError, OptionError, OutputError
from reluflow.report import (
    save_layer_time,
    save_phase_diagram,
    save_schedules,
    save_transitions,
)
from reluflow.report.pictures.scales import edges, power, rate_axis, thousands
from reluflow.temperature import ArctanTransition, ErfTransition, LogNormal, PhaseDiagram

RATES = np.geomspace(1e-4, 1e2, 25)
YELLOW, NAVY, RED = (254, 232, 56), (0, 34, 78), (213, 94, 0)


def diagram(n: int = 12, shift: float = 0.0) -> PhaseDiagram:
    mu = np.linspace(-3.0, -1.0, n) + shift
    sigma = np.linspace(1.4, 0.9, n)
    rows = [LogNormal(m, s).distance(RATES) for m, s in zip(mu, sigma, strict=True)]
    return PhaseDiagram(
        steps=np.arange(n) * 100,
        rates=RATES,
        sites=("relu",),
        site_distances=np.array(rows)[:, :, None],
        used_rates=np.geomspace(0.3, 1e-3, n),
        mu=mu,
        sigma=sigma,
    )


def recording(sites: int = 5, steps: int = 12, **more: object) -> pa.Table:
    rows = [(10 * t, f"block{s}.relu") for t in range(steps) for s in range(sites)]
    columns: dict[str, object] = {
        "step": [step for step, _ in rows],
        "site": [site for _, site in rows],
        "temperature_bits": [3.0 * (1 - i / len(rows)) for i in range(len(rows))],
        "patterns": [i % 7 if i % 3 else None for i in range(len(rows))],
        "net_change": [np.sin(i) for i in range(len(rows))],
    }
    return pa.table({**columns, **more})


def runs() -> dict[str, dict[str, tuple[object, object]]]:
    x = np.linspace(0, 5, 30)
    return {
        name: {
            "learning_rate": (x, 10.0 ** -(1 + k + x / 5)),
            "temperature_bits": (x, np.stack([5 - x, 5.2 - x, 4.9 - x])),
            "accuracy": ([1, 2, 3], [0.6, 0.8, 0.85 + 0.01 * k]),
        }
        for k, name in enumerate(("ActCoolLR", "StepDecay", "OneCycleLR"))
    }


PICTURES: dict[str, Callable[[Path], Path]] = {
    "one phase diagram": lambda p: save_phase_diagram(diagram(), p, title="F1"),
    "three phase diagrams": lambda p: save_phase_diagram(
        {"first": diagram(), "last": diagram(shift=-2.0), "short": diagram(1)}, p
    ),
    "with the error of the fit": lambda p: save_phase_diagram(diagram(), p, with_error=True),
    "temperature": lambda p: save_layer_time(recording(), p),
    "measures of two runs": lambda p: save_layer_time(
        {"ToyNet": recording(), "deep": recording(60)}, p, ("patterns", "net_change"), title="x"
    ),
    "logarithmic time": lambda p: save_layer_time(recording(), p, log_time=True),
    "schedules": lambda p: save_schedules(runs(), p, title="F1, 3 seeds"),  # type: ignore[arg-type]
    "family": lambda p: save_schedules(runs(), p, ordered=True),  # type: ignore[arg-type]
    "transitions": lambda p: save_transitions(
        RATES,
        LogNormal(-2.0, 1.2).distance(RATES),
        [LogNormal(-2.0, 1.2), ErfTransition(64.0, 0.05), ArctanTransition(64.0, 0.05)],
        p,
    ),
}


@pytest.mark.parametrize("make", PICTURES.values(), ids=PICTURES)
def test_a_picture_decodes_and_shows_something(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = make(tmp_path / "picture.png")
    pixels = colours(path)
    assert 600 <= pixels.shape[1] <= 2400
    assert 200 <= pixels.shape[0] <= 2400
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


@pytest.mark.parametrize("make", [PICTURES["one phase diagram"], PICTURES["schedules"]])
@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_same_data_give_the_same_bytes(
    make: Callable[[Path], Path], suffix: str, tmp_path: Path
) -> None:
    one, two = make(tmp_path / f"one{suffix}"), make(tmp_path / f"two{suffix}")
    assert one.read_bytes() == two.read_bytes()
    if suffix == ".svg":
        assert one.read_text().rstrip().endswith("</svg>")


def colours(path: Path) -> NDArray[np.int64]:
    return np.asarray(Image.open(path).convert("RGB")).astype(np.int64)


def has(pixels: NDArray[np.int64], colour: tuple[int, int, int], tolerance: int = 12) -> bool:
    return bool((np.abs(pixels - np.array(colour)).max(axis=-1) <= tolerance).any())


def test_high_rates_are_bright_above_and_low_ones_dark_below(tmp_path: Path) -> None:
    pixels = colours(save_phase_diagram(diagram(), tmp_path / "phases.png"))
    column = pixels[: pixels.shape[0] // 2, pixels.shape[1] // 2]
    bright = np.flatnonzero((np.abs(column - YELLOW) < 12).all(axis=-1))
    dark = np.flatnonzero((np.abs(column - NAVY) < 12).all(axis=-1))
    assert bright.max() < dark.min()


def test_the_used_rate_is_a_white_line_inside_the_map(tmp_path: Path) -> None:
    inside = replace(diagram(), used_rates=np.full(12, 1e-3))
    outside = replace(diagram(), used_rates=np.full(12, np.nan))
    shown = colours(save_phase_diagram(inside, tmp_path / "a.png"))
    plain = colours(save_phase_diagram(outside, tmp_path / "b.png"))

    def white_between_navy(pixels: NDArray[np.int64]) -> bool:
        column = pixels[: pixels.shape[0] // 2, pixels.shape[1] // 2]
        dark = np.flatnonzero((np.abs(column - NAVY) < 12).all(axis=-1))
        between = column[dark.min() : dark.max()]
        return bool((between > 240).all(axis=-1).any())

    assert white_between_navy(shown)
    assert not white_between_navy(plain)


def test_an_outlier_is_red_and_the_rest_keeps_its_colours(tmp_path: Path) -> None:
    quiet = np.linspace(0.0, 3.0, 400)
    wild = quiet.copy()
    wild[7] = 500.0
    table = {"step": np.repeat(np.arange(80), 5), "site": ["abcde"[i % 5] for i in range(400)]}
    plain = pa.table({**table, "temperature_bits": quiet})
    odd = pa.table({**table, "temperature_bits": wild})
    assert not has(colours(save_layer_time(plain, tmp_path / "a.png")), RED, 2)
    with_outlier = colours(save_layer_time(odd, tmp_path / "b.png"))
    assert has(with_outlier, RED, 2)
    assert has(with_outlier, YELLOW)


def test_cells_without_a_value_are_grey_not_dark(tmp_path: Path) -> None:
    table = pa.table({"step": [0, 0, 1], "site": ["a", "b", "a"], "distance": [0.5, 0.5, 0.5]})
    pixels = colours(save_layer_time(table, tmp_path / "a.png", ("distance",)))
    assert has(pixels, (233, 237, 241), 0)


@pytest.mark.parametrize("site", ["first", "last"])
def test_a_heading_of_two_lines_has_no_box_for_the_break(site: str, tmp_path: Path) -> None:
    run = {f"temperature_bits_{site}": ([0, 1, 2], [3.0, 2.0, 1.0])}
    text = save_schedules({"a": run}, tmp_path / "a.svg").read_text("utf-8")
    assert "<!-- temperature, bits -->" in text and f"<!-- {site} site -->" in text
    assert "□" not in text


@pytest.mark.parametrize(("columns", "width"), [(1, 912), (2, 1044), (3, 1236), (4, 1236)])
def test_many_phase_diagrams_get_narrow_not_the_picture_wide(
    columns: int, width: int, tmp_path: Path
) -> None:
    named = {f"net {number}": diagram() for number in range(columns)}
    path = save_phase_diagram(named, tmp_path / "a.png")
    with Image.open(path) as picture:
        assert picture.width == width


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_an_unwritable_path_is_an_output_error(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        save_phase_diagram(diagram(), tmp_path / "none" / f"a{suffix}")


def test_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"ends with \.pdf, but pictures are written as"):
        save_phase_diagram(diagram(), tmp_path / "a.pdf")
    with pytest.raises(OutputError, match="ends with no suffix"):
        save_schedules(runs(), tmp_path / "a")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_empty_data_are_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    nothing = replace(diagram(), site_distances=np.full((12, 25, 1), np.nan))
    with pytest.raises(DataError, match="holds no measured distance; sweep the rates"):
        save_phase_diagram(nothing, path)
    with pytest.raises(DataError, match="holds no phase diagram"):
        save_phase_diagram({}, path)
    with pytest.raises(DataError, match="recording holds no row; record at least one step"):
        save_layer_time(recording(steps=0), path)
    with pytest.raises(OptionError, match=r"measures is \['heat'\], but the recording has net_ch"):
        save_layer_time(recording(), path, ("heat",))
    with pytest.raises(DataError, match="runs holds no series"):
        save_schedules({}, path)
    with pytest.raises(DataError, match=r"runs\['a'\]\['loss'\] has x of shape \(2,\)"):
        save_schedules({"a": {"loss": ([1, 2], [1.0])}}, path)
    with pytest.raises(DataError, match=r"rates has shape \(0,\)"):
        save_transitions([], [], [], path)
    assert not path.exists()


def test_names_from_outside_cannot_break_a_picture(tmp_path: Path) -> None:
    name = "$\\frac$\x1b[2J 层 " + "long" * 40
    table = pa.table({"step": [0, 1], "site": [name, name], "x$_": [1.0, 2.0]})
    save_layer_time({name: table}, tmp_path / "a.svg", ("x$_",), title=name)
    save_phase_diagram({name: diagram(3)}, tmp_path / "b.png", title=name)
    save_schedules({name: {name: ([0, 1], [1.0, 2.0])}}, tmp_path / "c.png", title=name)


def test_ticks_and_edges() -> None:
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    rate_axis(axes, 1e-6, 1e2)
    assert [t.get_text() for t in axes.get_yticklabels()] == ["10⁻⁶", "10⁻⁴", "0.01", "1", "100"]
    assert edges([3.0]).tolist() == [2.5, 3.5]
    assert (power(0.0), power(3e-5), power(1e5)) == ("", "", "10⁵")
    assert (thousands(9_999), thousands(120_000)) == ("9999", "120k")

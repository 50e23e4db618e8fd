"""Tables kept beside a recording, and the index to the final state that is made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reluflow.errors import OptionError, OutputError
from reluflow.monitoring import KeptTables, SiteCounter, SiteCounts, read_recording
from reluflow.patterns import PatternRecorder, read


def counts(*values: int, units: int = 6) -> SiteCounts:
    """Counts of samples whose pattern is the binary form of a value."""
    keys = np.zeros((len(values), 2), np.uint64)
    keys[:, 1] = values
    bits = (np.array(values)[:, None] >> np.arange(units)) & 1
    return SiteCounts.of(keys, bits.sum(axis=0))


def jaccard(a: list[int], b: list[int]) -> float:
    """By hand, over multisets."""
    both = {*a, *b}
    least = sum(min(a.count(v), b.count(v)) for v in both)
    return least / sum(max(a.count(v), b.count(v)) for v in both)


STATES = {
    0: {"a": [1, 1, 2, 3], "<b>/relu": [9, 9, 9, 9]},
    7: {"a": [1, 2, 2, 5], "<b>/relu": [9, 9, 8, 8]},
    100_000_000: {"a": [1, 2, 5, 5], "<b>/relu": [9, 8, 7, 6]},
}


def keep(folder: Path) -> KeptTables:
    kept = KeptTables(folder)
    with PatternRecorder(folder) as recorder:
        for step, sites in STATES.items():
            found = {site: counts(*values) for site, values in sites.items()}
            kept.keep(step, found)
            for site, each in found.items():
                recorder.record(step, site, {"patterns": each.table.total})
            recorder.record(step, "mean", {"learning_rate": 0.1})
        recorder.record(8, "a", {"distance": 0.5})
    return kept


def test_tables_come_back_whole_and_in_order(tmp_path: Path) -> None:
    kept = keep(tmp_path)
    assert kept.steps() == [*STATES]
    for step, sites in STATES.items():
        found = kept.load(step)
        assert list(found) == list(sites)
        for site, values in sites.items():
            wanted = counts(*values)
            assert found[site].table.samples == len(values)
            for name, array in wanted.to_arrays().items():
                assert found[site].to_arrays()[name].tolist() == array.tolist()


def test_a_step_kept_again_is_replaced(tmp_path: Path) -> None:
    kept = keep(tmp_path)
    kept.keep(7, {"a": counts(4)})
    assert kept.steps() == [*STATES]
    assert list(kept.load(7)) == ["a"]


@pytest.mark.parametrize("target", [*STATES])
def test_the_index_is_that_of_the_multisets(target: int, tmp_path: Path) -> None:
    found = keep(tmp_path).jaccard_to(target)
    assert found == {
        (step, site): pytest.approx(jaccard(values, STATES[target][site]))
        for step, sites in STATES.items()
        for site, values in sites.items()
    }


def test_sites_that_only_one_step_has_are_left_out(tmp_path: Path) -> None:
    kept = keep(tmp_path)
    kept.keep(200_000_000, {"a": counts(1)})
    assert {site for _, site in kept.jaccard_to(200_000_000)} == {"a"}


def test_a_recording_gets_the_index_to_the_final_state(tmp_path: Path) -> None:
    keep(tmp_path)
    rows = read_recording(tmp_path).to_pylist()
    last = max(STATES)
    for row in rows:
        values = STATES.get(row["step"], {}).get(row["site"])
        if values is None:
            assert row["jaccard_final"] is None
        else:
            assert row["jaccard_final"] == pytest.approx(jaccard(values, STATES[last][row["site"]]))
    assert next(row for row in rows if row["step"] == last)["jaccard_final"] == 1.0


def test_a_recording_without_tables_stays_as_it_is(tmp_path: Path) -> None:
    with PatternRecorder(tmp_path) as recorder:
        recorder.record(0, "a", {"patterns": 3})
    assert read_recording(tmp_path) == read(tmp_path)


@pytest.mark.parametrize("damage", ["missing", "cut", "empty", "no zip", "no arrays"])
def test_a_damaged_table_is_named(damage: str, tmp_path: Path) -> None:
    kept = keep(tmp_path)
    path = tmp_path / "tables" / "step-00000007.npz"
    if damage == "missing":
        path.unlink()
    elif damage == "no arrays":
        np.savez(path, sites=np.array(["a"]))
    else:
        whole = path.read_bytes()
        path.write_bytes({"cut": whole[:200], "empty": b"", "no zip": b"x" * 300}[damage])
    with pytest.raises(OutputError, match=r"the tables of step 7 cannot be read from .*tables"):
        kept.load(7)


def test_steps_before_the_start_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="step is -1, but steps of a training start at 0"):
        KeptTables(tmp_path).keep(-1, {"a": counts(1)})


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "tables").write_text("a file")
    with pytest.raises(OutputError, match=r"the kept tables cannot be written to .*tables"):
        KeptTables(tmp_path).keep(0, {"a": counts(1)})


@pytest.mark.parametrize("pieces", [1, 2, 5])
def test_a_counter_of_passes_counts_like_one_pass(pieces: int) -> None:
    values = np.random.default_rng(0).integers(0, 64, 1000)
    counter = SiteCounter()
    for part in np.array_split(values, pieces):
        each = counts(*part.tolist())
        keys = np.zeros((len(part), 2), np.uint64)
        keys[:, 1] = part
        counter.add(keys, each.active)
    found, whole = counter.finish(), counts(*values.tolist())
    assert found.table == whole.table
    assert found.active.tolist() == whole.active.tolist()
    assert found.load is not None and 0 < found.load < 1
    assert found.load == pytest.approx(found.table.total / 4096)
    assert whole.load is None

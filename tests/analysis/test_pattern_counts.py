"""All patterns of a site as arrays, counted or read from a report."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import small_models

import reluflow
from reluflow.errors import OptionError, OutputError

X = small_models.integers((50, 4)).astype(np.float32)


def test_arrays_are_the_patterns_counted_by_hand() -> None:
    model = small_models.dense()
    found = reluflow.count_patterns(model, X)
    report = reluflow.analyze(model, X)
    bits = reluflow.activation_bits(model, X, range(50))
    assert list(found) == [site.site.name for site in report]
    for site in report:
        each = found[site.site.name]
        rows = [row.tobytes() for row in bits[site.site.name][:, 0]]
        counted = Counter(rows)
        assert sorted(each.counts.tolist()) == sorted(counted.values())
        assert each.samples == 50 and len(each) == site.patterns
        for first, n in zip(each.first_index.tolist(), each.counts.tolist(), strict=True):
            assert rows.index(rows[first]) == first and counted[rows[first]] == n
        assert each.fingerprints.dtype == np.uint64 and each.counts.dtype == np.int64
        tops = {top.fingerprint: top.count for top in site.top}
        assert tops.items() <= dict(zip(each.hexadecimal(), each.counts, strict=True)).items()


def test_a_report_gives_the_same_arrays(tmp_path: Path) -> None:
    model = small_models.dense()
    reluflow.analyze(model, X, tmp_path / "r")
    counted = reluflow.count_patterns(model, X)
    for path in (tmp_path / "r", tmp_path / "r" / "patterns.parquet"):
        read = reluflow.read_patterns(path)
        assert list(read) == list(counted)
        for name, each in counted.items():
            np.testing.assert_array_equal(read[name].fingerprints, each.fingerprints)
            np.testing.assert_array_equal(read[name].counts, each.counts)
            np.testing.assert_array_equal(read[name].first_index, each.first_index)
    assert list(reluflow.read_patterns(tmp_path / "r", ["relu1"])) == ["relu1"]
    with pytest.raises(OptionError, match="site is 'x'; accepted are relu0, relu1"):
        reluflow.read_patterns(tmp_path / "r", ["x"])
    (tmp_path / "r.parquet").write_bytes(b"no")
    for name in ("gone", "r.parquet"):
        with pytest.raises(OutputError, match=r"holds no patterns .* give the folder of a report"):
            reluflow.read_patterns(tmp_path / name)


def test_a_site_is_chosen_and_shown() -> None:
    found = reluflow.count_patterns(small_models.dense(), X, ["relu1"])
    assert list(found) == ["relu1"]
    lines = str(found["relu1"]).splitlines()
    assert lines[0] == f"relu1: {len(found['relu1'])} patterns of 50 samples"
    assert int(lines[3].split()[1]) == found["relu1"].counts.max()
    table = pa.table(found["relu1"])
    assert [each.hex() for each in table["fingerprint"].to_pylist()] == found["relu1"].hexadecimal()
    with pytest.raises(OptionError, match="site is 'x'; accepted are"):
        reluflow.count_patterns(small_models.dense(), X, ["x"])

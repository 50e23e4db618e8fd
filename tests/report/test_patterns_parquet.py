from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from reluflow.errors import OutputError
from reluflow.report import write_patterns_parquet
from reluflow.report.files import parquet as parquet_module


def test_the_rows_are_the_tables(chunked: Any, tmp_path: Path) -> None:
    write_patterns_parquet(tmp_path / "p.parquet", chunked(1), {"b": "2", "a": "1"})
    table = pq.read_table(tmp_path / "p.parquet")
    assert table.column_names == ["site", "fingerprint", "count", "first_index"]
    assert str(table.schema.field("fingerprint").type) == "fixed_size_binary[16]"
    assert table.schema.metadata[b"a"] == b"1"
    rows = table.to_pydict()
    start = 0
    for name, chunks in chunked(1):
        for keys, counts, first in chunks:
            part = slice(start, start + len(counts))
            assert set(rows["site"][part]) == {name}
            expected = [f"{int(hi):016x}{int(lo):016x}" for hi, lo in keys]
            assert [f.hex() for f in rows["fingerprint"][part]] == expected
            assert rows["count"][part] == counts.tolist()
            assert rows["first_index"][part] == first.tolist()
            start += len(counts)
    assert start == table.num_rows == 3000


def test_the_bytes_do_not_depend_on_the_chunks(
    chunked: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_module, "ROWS_PER_GROUP", 700)
    contents = []
    for chunks in (1, 3, 40):
        write_patterns_parquet(tmp_path / "p.parquet", chunked(chunks), {"k": "v"})
        contents.append((tmp_path / "p.parquet").read_bytes())
    assert contents[0] == contents[1] == contents[2]
    file = pq.ParquetFile(tmp_path / "p.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(5)] == [700, 700, 700, 700, 200]


def test_no_rows_make_an_empty_file(tmp_path: Path) -> None:
    empty = (np.zeros((0, 2), np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64))
    write_patterns_parquet(tmp_path / "p.parquet", [("a", iter([empty])), ("b", iter([]))], {})
    assert pq.read_table(tmp_path / "p.parquet").num_rows == 0


def test_strided_keys_are_written_as_they_read(tmp_path: Path) -> None:
    keys = np.arange(12, dtype=np.uint64).reshape(3, 4)[:, ::2]
    chunk = (keys, np.ones(3, np.int64), np.zeros(3, np.int64))
    write_patterns_parquet(tmp_path / "p.parquet", [("a", iter([chunk]))], {})
    first = pq.read_table(tmp_path / "p.parquet").column("fingerprint")[1].as_py()
    assert first.hex() == f"{4:016x}{6:016x}"


def test_an_exception_in_the_middle_leaves_the_old_file(chunked: Any, tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    path.write_bytes(b"old")

    def failing() -> Iterator[Any]:
        yield from chunked(2)[0][1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_patterns_parquet(path, [("a", failing())], {})
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_unwritable_place_is_an_output_error(chunked: Any, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_patterns_parquet(tmp_path / "none" / "p.parquet", chunked(1), {})

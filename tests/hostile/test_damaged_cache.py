"""Compiled code that numba keeps on disk, cut off: a sentence says where it lies."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reluflow.cli._failure import explain

SOURCE = """import numba

@numba.njit(cache=True)
def twice(x):
    return 2 * x
"""


def loaded(folder: Path) -> Any:
    spec = importlib.util.spec_from_file_location("kept_code", folder / "kept_code.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_a_file_of_it_is_cut_off(kind: str, tmp_path: Path, injected: Callable[..., None]) -> None:
    (tmp_path / "kept_code.py").write_text(SOURCE, "ascii")
    assert loaded(tmp_path).twice(3) == 6
    [file] = (tmp_path / "__pycache__").glob(f"*.{kind}")
    cuts = (file.stat().st_size // 2, 0)
    for length in cuts:
        os.truncate(file, length)
        with pytest.raises(Exception) as caught:
            loaded(tmp_path).twice(3)
        sentence, code = explain(caught.value)
        assert code == 2 and sentence.endswith("is damaged; delete that folder.")
        assert str(tmp_path / "__pycache__") in sentence
    shutil.rmtree(tmp_path / "__pycache__")
    assert loaded(tmp_path).twice(3) == 6
    injected("compiled code that numba keeps, cut off", len(cuts))

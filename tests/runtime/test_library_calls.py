"""Plain C functions of the native library: found, missing, refused."""

from pathlib import Path

import numpy as np
import pytest

from reluflow import native
from reluflow.errors import OptionError
from reluflow.patterns import fingerprint

NAME = "reluflow_hash_v1"


def test_without_a_library_there_is_no_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELUFLOW_LIBRARY", "/nowhere/lib.so")
    assert native.find_function(NAME) is None
    assert len(fingerprint(np.ones((2, 3), np.float32)).keys) == 2


def test_a_file_that_is_no_library_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "libbroken.so"
    broken.write_bytes(b"not a library")
    monkeypatch.setenv("RELUFLOW_LIBRARY", str(broken))
    with pytest.warns(RuntimeWarning, match=f"libbroken.so cannot be used for {NAME} .*numba"):
        assert native.find_function(NAME) is None
    assert native.find_function(NAME) is None


def test_a_library_without_the_function_does_without() -> None:
    assert native.find_function("reluflow_hash_v0") is None


def test_a_sentence_of_a_function_is_raised() -> None:
    native.check(None)
    with pytest.raises(OptionError, match="RELUFLOW_KERNEL is sse9"):
        native.check(b"RELUFLOW_KERNEL is sse9, but ...")

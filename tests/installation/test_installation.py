"""`reluflow doctor`: what is here, what is missing, and how to get it."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest

import reluflow
from reluflow.cli import main
from reluflow.native import find_function
from reluflow.sessions import has_library


def test_versions_are_those_that_are_installed() -> None:
    found = reluflow.doctor()
    assert found.works
    by_name = {each.name: each for each in found.packages}
    assert by_name["numpy"].version == metadata.version("numpy")
    assert by_name["onnxruntime"].extra == "" and by_name["torch"].extra == "torch"
    assert not {"dev", "docs", "test"} & {each.extra for each in found.packages}


@pytest.mark.skipif(not has_library(), reason="there is no native library")
@pytest.mark.skipif(not find_function("reluflow_kernel_v1"), reason="an older library")
def test_the_kernels_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELUFLOW_KERNEL", "portable")
    assert reluflow.doctor().kernel == "portable"
    monkeypatch.setenv("RELUFLOW_KERNEL", "sse9")
    found = reluflow.doctor()
    assert found.kernel == "" and "RELUFLOW_KERNEL is sse9" in found.problem


def test_no_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RELUFLOW_LIBRARY", raising=False)
    monkeypatch.setattr("reluflow.native._installed_path", lambda: tmp_path / "none.so")
    said = " ".join(reluflow.doctor().sentences())
    assert "Native library: none; install the wheel" in said
    assert "all analyses work, hashed and counted by numba" in said


def test_what_is_missing_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = metadata.version

    def version(name: str) -> str:
        if name == "numba":
            return "0.1"
        if name in ("pyarrow", "torch"):
            raise metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr("importlib.metadata.version", version)
    assert main(["doctor"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "Required numba>=0.60 is 0.1; pip install 'numba>=0.60'." in said
    assert "Required pyarrow>=15 is missing" in said
    assert "Extra torch lacks torch; pip install 'reluflow[torch]'." in said


def test_from_source(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.requires", requires)
    assert "is not installed, so that no versions are declared" in str(reluflow.doctor())


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["works"] and found["packages"] and found["version"] == reluflow.__version__

"""The site contains every page, and builds without a warning."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import reluflow

ROOT = Path(__file__).parents[2]
SETTINGS = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_the_site_lists_every_page_once() -> None:
    listed = re.findall(r"^ +- ([\w./-]+\.md)$", SETTINGS, re.M)
    docs = ROOT / "docs"
    assert sorted(listed) == sorted(p.relative_to(docs).as_posix() for p in docs.rglob("*.md"))


def test_the_page_of_the_calls_shows_all_of_them() -> None:
    page = (ROOT / "docs" / "api" / "reluflow.md").read_text(encoding="utf-8")
    shown = re.findall(r"^ +- (\w+)$", page, re.M)
    assert sorted(shown) == sorted({*reluflow.__all__} - {"__version__"})


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "api").glob("*.md")), ids=lambda p: p.stem)
def test_an_api_page_is_of_a_package_that_is_there(page: Path) -> None:
    (name,) = re.findall(r"^::: ([\w.]+)$", page.read_text(encoding="utf-8"), re.M)
    assert name == page.stem
    assert importlib.util.find_spec(name) is not None


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("mkdocstrings") is None, reason="the extra docs is not installed"
)
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(
        [*command, "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    page = (tmp_path / "site" / "api" / "reluflow.graph.html").read_text(encoding="utf-8")
    assert "find_sites" in page and "&gt;&gt;&gt;" in page


def test_every_room_has_a_page() -> None:
    """All but the command line, whose face are its commands."""
    rooms = {"reluflow"}
    bridges = ("reluflow_jax", "reluflow_keras", "reluflow_sklearn", "reluflow_torch")
    for package in ("toolkit/reluflow", *(f"exporters/{name}" for name in bridges)):
        for path in (ROOT / package).iterdir():
            is_room = path.suffix == ".py" or (path / "__init__.py").is_file()
            if not path.name.startswith("_") and is_room and path.name != "cli":
                rooms.add(f"{path.parent.name}.{path.stem}")
    inner = {f"reluflow_torch.{name}" for name in ("models", "monitoring", "sites", "training")}
    of_sklearn = ("distance", "estimators", "export", "network", "steering")
    inner |= {f"reluflow_sklearn.{name}" for name in of_sklearn}
    of_keras = ("actcool", "export", "monitor", "passes", "steps", "switches")
    inner |= {f"reluflow_keras.{name}" for name in of_keras}
    inner |= {f"reluflow_jax.{name}" for name in ("exporting", "sites", "training")}
    pages = {page.stem for page in (ROOT / "docs" / "api").glob("*.md")}
    assert pages == (rooms - inner) | {*bridges}

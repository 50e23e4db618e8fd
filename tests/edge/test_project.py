"""The folder that is written: whole, replaced only if it is ours, and C that any compiler takes."""

from __future__ import annotations

import io
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from edge_c.compiled import LONG, SANITISERS, TRAPS, Run, compile_host, has, run_host
from edge_c.graphs import Graph, random_graph
from rich.console import Console

import reluflow
from reluflow.edge import EdgeOptions, EdgeProject, lower, run, write_project
from reluflow.edge.emit.writer import safe
from reluflow.edge.options import name_of_file
from reluflow.errors import OptionError, OutputError
from reluflow.report import print_edge

ROOT = Path(__file__).parents[2]
IMAGES = np.load(ROOT / "models" / "fashion_mnist_test_2000.npz")["image"]
COMPILERS = [c for c in ("gcc", "clang") if has(c)]
FORBIDDEN = re.compile(
    r"\b(malloc|calloc|realloc|free|float|double|math\.h|printf)\b|[^/*]/[^/*]|%"
)
needs_compiler = pytest.mark.skipif(not COMPILERS, reason="no C compiler is installed")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> EdgeProject:
    return reluflow.edge_project(
        ROOT / "models" / "fashion_resnet8.onnx",
        tmp_path_factory.mktemp("project") / "net",
        calibration=IMAGES[:32],
        options=EdgeOptions(name="net", samples=4),
    )


@needs_compiler
@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_self_test_passes_with_each_compiler(project: EdgeProject, compiler: str) -> None:
    flags = SANITISERS if compiler == "gcc" else TRAPS
    binary = compile_host(
        project.folder, "net", "-O1", *flags, compiler=compiler, main="selftest/selftest.c"
    )
    done = subprocess.run([str(binary)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "5 of 5 vectors equal\n"), done.stderr


@needs_compiler
def test_a_wrong_vector_fails(project: EdgeProject, tmp_path: Path) -> None:
    vectors = project.folder / "selftest" / "vectors.h"
    text = vectors.read_text()
    at = text.index("output[VECTORS]")
    changed = text[:at] + re.sub(r"\{ -?\d+", "{ 12345", text[at:], count=1)
    try:
        vectors.write_text(changed)
        binary = compile_host(project.folder, "net", "-O2", main="selftest/selftest.c")
        done = subprocess.run([str(binary)], capture_output=True, text=True)
    finally:
        vectors.write_text(text)
    assert (done.returncode, done.stdout) == (1, "4 of 5 vectors equal\n")


@needs_compiler
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", ["fashion_dsconv", "fashion_convnet8"])
def test_many_runs_are_equal(name: str, tmp_path: Path) -> None:
    made = reluflow.edge_project(
        ROOT / "models" / f"{name}.onnx",
        tmp_path / "net",
        calibration=IMAGES[:32],
        options=EdgeOptions(name="net"),
    )
    samples = (0, 1, 2, 4, 8, 16, 32, 64)
    runs: list[Run] = [
        ({"image": IMAGES[k % 2000 : k % 2000 + 1]}, samples[k % 8], k // 2000)
        for k in range(10_000 if LONG else 200)
    ]
    found = run_host(compile_host(made.folder, "net", "-O2"), made.program, runs)
    wrong = sum(
        bool((values["logits"] != run(made.program, *one)["logits"]).any())
        for one, values in zip(runs, found, strict=True)
    )
    assert wrong == 0


@needs_compiler
@pytest.mark.parametrize("tool", ["make", "cmake"])
def test_each_build_builds(project: EdgeProject, tool: str, tmp_path: Path) -> None:
    if not has(tool):
        pytest.skip(f"{tool} is not installed")
    lines = {
        "make": [["make", "-C", str(project.folder), "libnet.a", "check", "stream"]],
        "cmake": [
            ["cmake", "-S", str(project.folder), "-B", str(tmp_path), "-DNET_SELFTEST=ON"],
            ["cmake", "--build", str(tmp_path)],
            ["ctest", "--test-dir", str(tmp_path), "--output-on-failure"],
        ],
    }
    for line in lines[tool]:
        done = subprocess.run(line, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


ARDUINO = """
#include <stddef.h>
struct Line {
  void begin(long);
  size_t readBytes(char *, size_t);
  void print(long);
  void print(char);
};
extern Line Serial;
"""


@pytest.mark.skipif(not has("g++"), reason="g++ is not installed")
def test_the_sketch_is_cpp_that_compiles(project: EdgeProject, tmp_path: Path) -> None:
    (tmp_path / "Arduino.h").write_text(ARDUINO)  # what the IDE puts in front of a sketch
    sketch = project.folder / "examples" / "net_serial" / "net_serial.ino"
    line = ["g++", "-x", "c++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    line += [f"-I{project.folder / 'src'}", "-include", str(tmp_path / "Arduino.h"), str(sketch)]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_kernels_neither_divide_nor_allocate_nor_know_floats() -> None:
    sources = sorted((ROOT / "runtime" / "edge").glob("*.[ch]"))
    assert len(sources) > 8
    for source in sources:
        code = re.sub(r"/\*.*?\*/", "", source.read_text(), flags=re.S)
        code = re.sub(r'#include .*|"[^"]*"', "", code)
        for line in code.splitlines():
            assert not FORBIDDEN.search(line), (source.name, line)


def test_a_wrong_number_of_samples_is_refused_by_the_code(project: EdgeProject) -> None:
    if not COMPILERS:
        pytest.skip("no C compiler is installed")
    binary = compile_host(project.folder, "net", "-O1", compiler=COMPILERS[0])
    for samples in (3, 65, 128):
        given = binary.with_suffix(".bad")
        given.write_bytes(bytes([samples, *[0] * 8, *[0] * 784]))
        done = subprocess.run([str(binary), str(given), str(binary.with_suffix(".none"))])
        assert done.returncode == 1


def test_the_figures_are_those_of_the_program(project: EdgeProject) -> None:
    cost = project.cost
    assert cost.ram_bytes >= cost.arena_bytes + cost.words_bytes + cost.drawn_bytes
    assert cost.arena_bytes == max(step.alive_bytes for step in cost.steps) == 25_088
    assert cost.shift_adds == sum(step.shift_adds for step in cost.steps)
    assert cost.shift_adds == project.program.shift_adds(4)
    assert 4 * cost.shift_adds == project.program.shift_adds(16)
    assert 4 * project.program.shift_adds(16) == project.program.shift_adds(0)
    assert cost.flash_bytes is None and cost.code_bytes is None  # no target was named
    stored = sum(node.stored_bytes for node in reluflow.graph.find_psb(_chained()))
    assert cost.flash["weights"] > stored


def test_the_table_fits_a_terminal_and_its_rows_differ(project: EdgeProject) -> None:
    text = io.StringIO()
    print_edge(project, Console(file=text, width=80))
    rows = [line for line in text.getvalue().splitlines() if line.startswith("│")]
    assert len({row.split("│")[1] for row in rows}) == len(rows) == len(project.cost.steps)
    assert max(map(len, rows)) <= 80
    assert all(row.endswith("│") and "…" not in row[-40:] for row in rows)


def _chained() -> reluflow.Model:
    source = ROOT / "models" / "fashion_resnet8.onnx"
    return reluflow.convert(source, calibration=IMAGES[:32], x_bits=8, check=False).model


def test_too_much_ram_is_refused_by_how_much_and_where(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"ram is 12288.* \d+ more.*'/block2.*rows") as found:
        reluflow.edge_project(
            ROOT / "models" / "fashion_resnet8.onnx",
            tmp_path / "net",
            calibration=IMAGES[:8],
            options=EdgeOptions(ram=12_288),
        )
    words = re.search(r"needs (\d+) bytes, (\d+) more", str(found.value))
    assert words is not None and int(words[1]) - int(words[2]) == 12_288
    assert not list(tmp_path.iterdir())


def small(folder: Path, **options: object) -> EdgeProject:
    graph = random_graph(5, 3)
    program = lower(graph.build())
    x = np.zeros((1, *graph.input_shape), np.float32)
    return write_project(program, folder, EdgeOptions(**options), [{"x": x}])  # type: ignore[arg-type]


def test_only_a_project_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    small(folder, name="first")
    small(folder, name="second")
    assert (folder / "src" / "second.h").is_file() and not (folder / "src" / "first.h").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "kept.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds other files than a project"):
        small(other)
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(OutputError, match="is something else; give a new folder"):
        small(file)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "net", "other"]
    assert [path.name for path in other.iterdir()] == ["kept.txt"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        small(tmp_path / "file" / "net")


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("fashion-resnet8", "fashion_resnet8"),
        ("3d net", "model_3d_net"),
        ("int", "model_int"),
        ("string", "model_string"),
        ("ünïcode", "n_code"),
        ("---", "model"),
    ],
)
def test_a_file_names_a_library(stem: str, name: str) -> None:
    assert name_of_file(stem) == name


@pytest.mark.parametrize("text", ["a */ b", "/* a", "tri??/", "line\nbreak", "back\\", "ü"])
def test_no_name_of_a_layer_ends_a_comment(text: str) -> None:
    found = safe(text)
    assert "*/" not in found and "/*" not in found and "??" not in found
    assert "\n" not in found and not found.endswith("\\") and found.isascii()


@needs_compiler
def test_layers_of_any_name_compile(tmp_path: Path) -> None:
    graph = Graph(2)
    names = graph.weights((4, graph.shapes["u"][-1]))
    given = names["attributes"] | graph.attributes(x=graph.forms["u"])
    graph.node("FromFixedMatMul", ["u", *names["names"]], "y", given)
    graph.nodes[-1].name = '*/ int main; /* "??/\n\\'
    graph.outputs = ["y"]
    x = np.zeros((1, *graph.input_shape), np.float32)
    made = write_project(lower(graph.build()), tmp_path / "net", EdgeOptions(name="a"), [{"x": x}])
    compile_host(made.folder, "a", compiler=COMPILERS[0])


def test_the_example_of_the_page_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "edge.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.S)
    exec(compile(code, "docs/edge.md", "exec"), {})

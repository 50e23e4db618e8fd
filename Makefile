# One command each; every target sets up what it needs in .venv.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find toolkit exporters runtime -type f -not -name '*.pyc' 2>/dev/null) CMakeLists.txt pyproject.toml constraints.txt

NATIVE := $(shell find runtime -name '*.c' -o -name '*.cpp' -o -name '*.h')

.PHONY: demo web test test-native test-arm test-sanitized test-oldest test-newest test-extras lint messages tidy docs bench \
	records fuzz fuzz-native schedules newest release clean

demo: $(VENV)/installed
	$(BIN)/reluflow demo

# The example page, web/build/index.html; it needs npm.
web: $(VENV)/installed
	cd web && npm ci --ignore-scripts --no-audit --no-fund
	$(BIN)/python web/make_parts.py
	cd web && npm run build

test: lint tidy test-native test-sanitized
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror $(NATIVE)
	$(BIN)/mypy

# Subject and body of each commit after the last one without a body.
messages:
	$(PYTHON) tests/commit_message.py --since c16c6e168a7279e03a06c6ac48d08ba227c917dd

# Faults of the native code, its tests and its example hosts that a compiler lets pass: .clang-tidy.
tidy: $(VENV)/installed-dev
	cmake -S runtime -B build/tidy -DRELUFLOW_TESTS=ON -DRELUFLOW_EXAMPLES=ON \
	  -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >/dev/null
	$(BIN)/run-clang-tidy.py -clang-tidy-binary $(BIN)/clang-tidy -p build/tidy -j 2 -quiet

# The operators without Python, under the address and undefined-behaviour sanitizers.
test-native:
	cmake -S runtime -B build/sanitized -DRELUFLOW_SANITIZE=address,undefined >/dev/null
	cmake --build build/sanitized -j 2
	ctest --test-dir build/sanitized --output-on-failure

# Cross-built for 64-bit ARM and run in QEMU, once on a processor with all instructions and once on one
# without dot products; then the portable kernels for 32-bit ARM. Minutes: CI leaves it out.
test-arm:
	@for tool in aarch64-linux-gnu-g++ arm-linux-gnueabihf-g++ qemu-aarch64 qemu-arm; do \
	  command -v $$tool >/dev/null || { echo "make: $$tool is not installed; on Debian, install g++-aarch64-linux-gnu, g++-arm-linux-gnueabihf and qemu-user" >&2; exit 2; }; \
	done
	for cpu in max cortex-a53; do \
	  cmake -S runtime -B build/aarch64 -DRELUFLOW_QEMU_CPU=$$cpu \
	    -DCMAKE_TOOLCHAIN_FILE=$(CURDIR)/runtime/cmake/aarch64-linux-gnu.cmake >/dev/null && \
	  cmake --build build/aarch64 -j 2 && \
	  ctest --test-dir build/aarch64 --output-on-failure || exit 1; \
	done
	cmake -S runtime -B build/arm -DCMAKE_TOOLCHAIN_FILE=$(CURDIR)/runtime/cmake/arm-linux-gnueabihf.cmake >/dev/null
	cmake --build build/arm -j 2
	ctest --test-dir build/arm --output-on-failure

# The sanitised build inside ONNX Runtime for Python, against the numpy oracle. Python has to load the
# sanitizers first; what it leaks itself is not looked at. pytest keeps stderr, so they write a file.
test-sanitized: test-native $(VENV)/installed-dev
	rm -f build/sanitized/report.*
	LD_PRELOAD="$$(c++ -print-file-name=libasan.so) $$(c++ -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0:log_path=$(CURDIR)/build/sanitized/report \
	UBSAN_OPTIONS=print_stacktrace=1:log_path=$(CURDIR)/build/sanitized/report \
	RELUFLOW_LIBRARY=$(CURDIR)/build/sanitized/libreluflow.so \
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/runtime/test_library_*.py tests/loads/test_library_*.py tests/runtime/test_regions*.py tests/psb/test_chains*.py \
	|| { cat build/sanitized/report.* 2>/dev/null; exit 1; }

# The lowest versions that pyproject.toml declares, on the oldest Python: every package has a part of
# the tests that uses it (onnx in graph, ONNX Runtime in runtime and analysis, numba in patterns,
# scipy in temperature, matplotlib, jinja2, pyarrow and pillow in report and data, typer and rich in
# cli). Left out: what needs click, which typer brings no longer, and what no package decides: how
# Ctrl-C ends a run, native kernels beside the oracle, programs in C, pages in a browser.
# No torch: constraints.txt has the lowest that is declared, so `make test` is its oldest run.
OLDEST := tests/data tests/patterns tests/psb tests/temperature tests/runtime tests/analysis \
  tests/report tests/cli tests/graph/proto tests/graph/rewrite tests/graph/taps
TEST_VERSIONS = -m pytest -n 2 --dist worksteal -p no:cacheprovider \
  -m "not slow" -k "not sensitivity and not adamw and not ctrl_c and not never_ends" \
  --ignore tests/cli/test_every_option.py --ignore tests/cli/test_help_texts.py \
  --ignore tests/runtime/hosts --ignore tests/runtime/test_host_examples.py \
  --ignore-glob '*/test_library_*.py' --ignore-glob '*/test_regions16.py' --ignore-glob '*/test_chain*.py' \
  --ignore-glob '*_in_chromium.py'
test-oldest:
	$(PYTHON) -m venv build/oldest
	PIP_CONSTRAINT=$(CURDIR)/constraints-oldest.txt build/oldest/bin/pip install --quiet '.[test]'
	build/oldest/bin/python $(TEST_VERSIONS) $(OLDEST)

# The same with the newest release of everything, whatever constraints.txt says. What fails here
# only warns of what is to come, so CI leaves it out.
test-newest:
	rm -rf build/unpinned
	$(PYTHON) -m venv build/unpinned
	build/unpinned/bin/pip install --quiet --upgrade '.[test]'
	build/unpinned/bin/python $(TEST_VERSIONS) $(OLDEST)

# Every extra in a fresh environment of its own, with a user's script: gigabytes and minutes, so CI
# leaves it out.
test-extras: $(VENV)/installed-dev
	RELUFLOW_LONG_TESTS=1 $(BIN)/python -m pytest tests/extras

# constraints.txt with the newest versions that fit together, of today. torch stays: its newer wheels
# bring CUDA. Run `make test` afterwards, and commit the file where it passes.
newest:
	rm -rf build/newest
	$(PYTHON) -m venv build/newest
	grep '^torch==' constraints.txt > build/newest/kept.txt
	build/newest/bin/pip install --quiet --constraint build/newest/kept.txt '.[dev,jax]'
	build/newest/bin/pip freeze --exclude reluflow --exclude pip | sed 's/+cpu$$//' \
	  | LC_ALL=C sort --ignore-case > constraints.txt

# A release, in dist/, made twice and tried: docs/releases.md.
release:
	PYTHON=$(PYTHON) .ci/release

# The site, in build/site; a warning is an error. The variable silences advertising only.
docs: $(VENV)/installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# Mutated models through every command: COUNT of them, or as many as SECONDS allow.
COUNT ?= 1000
SECONDS ?= 0
SEED ?= 0
fuzz: $(VENV)/installed-dev
	$(BIN)/python tests/fuzz/fuzz.py --count $(COUNT) --seconds $(SECONDS) --seed $(SEED) --keep build/fuzz

# The C++ library under coverage-guided fuzzers, for SECONDS; it needs clang with its run-time libraries.
fuzz-native:
	$(PYTHON) tests/fuzz/native.py --seconds $(or $(filter-out 0,$(SECONDS)),60)

BENCHMARKS := hash_throughput whole_analysis peak_memory psb_conv psb_network psb_accuracy compare_cost actcool_overhead

bench: $(VENV)/installed-dev
	for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py || exit 1; done

# The same, kept in benchmarks/records, and the tables of docs/benchmarks.md made from them.
records: $(VENV)/installed-dev
	for name in $(BENCHMARKS); do \
	  $(BIN)/python benchmarks/$$name.py --json benchmarks/records/$$name.json || exit 1; \
	done
	$(BIN)/python benchmarks/psb_conv.py --bytes --samples 4 --json benchmarks/records/psb_conv_bytes.json
	$(BIN)/python benchmarks/psb_conv.py --regions --threads 1 --samples 16 --pairs 10 --json benchmarks/records/psb_conv_regions.json
	$(BIN)/python benchmarks/psb_network.py --nodes --json benchmarks/records/slow_nodes.json
	$(BIN)/python benchmarks/records/report.py

# Tables and pictures of docs/temperature.md from the records; RERUN=1 trains anew, for hours.
schedules: $(VENV)/installed-dev
ifdef RERUN
	PYTHONPATH=benchmarks $(BIN)/python benchmarks/schedules/run_all.py search baselines tuning actcool initial
	PYTHONPATH=benchmarks $(BIN)/python benchmarks/schedules/fits.py
	PYTHONPATH=benchmarks $(BIN)/python benchmarks/schedules/collect.py
endif
	PYTHONPATH=benchmarks $(BIN)/python benchmarks/schedules/summary.py
	PYTHONPATH=benchmarks $(BIN)/python benchmarks/schedules/control.py
	PYTHONPATH=benchmarks $(BIN)/python benchmarks/schedules/tables.py

$(BIN)/pip:
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not installed; install Python 3.11 or newer, or run make PYTHON=python3" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# Analysis needs no compiler: its absence is a warning, and the install leaves the library out.
$(VENV)/installed: $(BIN)/pip $(SOURCES)
	@command -v $(CXX) >/dev/null || echo "make: no C++ compiler; reluflow is installed without its native library, so hashing and converted models run slower" >&2
	$(BIN)/pip install --quiet --constraint constraints.txt .
	@touch $@

$(VENV)/installed-dev: $(BIN)/pip $(SOURCES)
	$(BIN)/pip install --quiet --constraint constraints.txt '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist demo-report

# `make demo` and `make test` work on a fresh machine with Python 3.11 and nothing else.
PYTHON ?= python3
BIN := .venv/bin
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Modules are compiled once for all the processes that tests start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-long lint types unit variants sanitize figures docs kernels setup clean

setup: .venv/installed kernels

# What builds the core comes first, so that the core is built while the rest is installed: it needs
# neither torch nor anything else.
.venv/tools: constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet cmake ninja nanobind
	touch $@

# torch comes before all that requires it and by exact version, so that no other requirement chooses
# a build of it. The core is left out here: it is built below, where its objects are kept for the
# next build.
.venv/installed: .venv/tools pyproject.toml
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet --config-settings wheel.cmake=false --editable '.[dev,docs]'
	touch $@

# CMake, Ninja and nanobind are those in .venv: nothing is fetched.
CONFIGURE = $(BIN)/cmake -G Ninja -S . -D CMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja \
	-D Python_EXECUTABLE=$(CURDIR)/$(BIN)/python \
	-D nanobind_ROOT=$$($(BIN)/python -m nanobind --cmake_dir)
CORE_SOURCES := CMakeLists.txt $(wildcard src/cpp/*)

kernels: build/kernels/installed

build/kernels/installed: .venv/tools $(CORE_SOURCES)
	$(CONFIGURE) -B build/kernels --log-level=WARNING
	$(BIN)/cmake --build build/kernels --parallel 2
	rm -f src/gradus/kernels/absence.txt
	$(BIN)/cmake --install build/kernels --prefix src
	test -e src/gradus/kernels/absence.txt || touch $@

demo: setup
	$(BIN)/gradus train digits --lr 0.1 --out runs/demo --overwrite

test: lint types unit variants

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/mypy

# Two workers with a thread each: threads of several processes that wait for each other are slow.
# Each begins with one half of the tests, so that what tests of a file share is made once.
unit: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal

# No variant has compiled a function that the linker may share with code for an older processor.
# Tests of the kernels take all variants in turn; the others run with the fastest one here.
variants: setup
	@! nm --print-file-name build/kernels/CMakeFiles/kernels_*.dir/src/cpp/*.o 2>/dev/null \
	    | grep ' [WVu] ' | grep -vE '6gradus(4avx2|6avx512|8portable|11avx512_bf16)'

# What takes minutes: hundreds of kills, damaged files by the thousand, simulations; and all tests
# of engines and optimizers under every other variant of the kernels that runs here.
test-long: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 -m long
	@for variant in $$($(BIN)/python -c 'from gradus import kernels; print(*kernels.runnable()[1:])'); do \
	    echo "GRADUS_KERNELS=$$variant"; \
	    GRADUS_KERNELS=$$variant OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 -m 'long or not long' \
	        tests/engine tests/optim || exit 1; \
	done

# Those of sparse inputs that reach every kind of step in short.
SPARSE_STEPS := test_it_follows_a_schedule test_it_takes_losses_of_numbers test_it_clips \
	test_a_scale_that_has_become_small_is_taken_into_the_weights \
	test_every_variant_gives_the_same test_rows_of_zeros_move_the_bias_alone

# The kernels' tests on a core that checks every address and every operation. It stands in a copy of
# the package. Python itself never frees some of what it allocates, so leaks are not looked for.
sanitize: setup
	$(CONFIGURE) -B build/sanitize -D CMAKE_BUILD_TYPE=Debug -D GRADUS_SANITIZE=address,undefined \
	    --log-level=WARNING
	$(BIN)/cmake --build build/sanitize --parallel 2
	rm -rf build/sanitize/site && mkdir build/sanitize/site
	cp -R src/gradus build/sanitize/site
	rm -f build/sanitize/site/gradus/kernels/_core.*.so build/sanitize/site/gradus/kernels/absence.txt
	$(BIN)/cmake --install build/sanitize --prefix build/sanitize/site
	test ! -e build/sanitize/site/gradus/kernels/absence.txt
	LD_PRELOAD="$$($${CXX:-c++} -print-file-name=libasan.so) $$($${CXX:-c++} -print-file-name=libstdc++.so.6)" \
	    ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	    PYTHONPATH=build/sanitize/site OMP_NUM_THREADS=1 \
	    $(BIN)/pytest -q -n 2 tests/kernels tests/optim/test_kernels.py \
	    $(addprefix tests/engine/test_native_sparse.py::,$(SPARSE_STEPS))

# The pictures that the documentation shows: those of the subject, and those of three runs.
PICTURED := --hidden 64 --epochs 8 --batch-size 32 --log-every 1 --quiet --overwrite
figures: setup
	$(BIN)/gradus figures --out docs/figures
	$(BIN)/gradus train digits --lr 0.2 $(PICTURED) --out build/pictures/training
	$(BIN)/gradus train digits --method adam --lr 0.003 $(PICTURED) --out build/pictures/adam
	$(BIN)/gradus train digits --method nesterov --lr 0.05 $(PICTURED) --out build/pictures/nesterov
	$(BIN)/gradus figures build/pictures/training --out docs/figures
	$(BIN)/gradus landscape build/pictures/training build/pictures/adam build/pictures/nesterov \
	    --grid 31 --out docs/figures

# The documentation as a site, in build/site. What it cannot resolve is an error.
docs: .venv/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

clean:
	rm -rf build src/gradus/kernels/_core.*.so src/gradus/kernels/absence.txt .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis

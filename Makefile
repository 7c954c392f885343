# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
MINUTES ?= 10
# Folders and files whose tests start no service; see test-fast.
FAST := tests/contract tests/picture tests/house/test_imports.py tests/house/test_install.py \
        tests/house/test_text.py tests/house/test_face.py tests/client/test_request.py tests/client/test_errors.py \
        tests/client/test_retry.py tests/client/test_compare.py tests/client/test_report.py tests/gate/test_compare.py

.PHONY: demo test test-fast browser dist lint format docs bench chaos soak clean

$(VENV)/.local: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[local]'
	touch $@

$(VENV)/.dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@ $(VENV)/.local

demo: $(VENV)/.local  ## measure a published network and a spec through the service, pictures into demo/
	$(BIN)/python examples/demo.py demo

# Many tests start processes of ours: with PYTHONDONTWRITEBYTECODE set, as in many images, each would compile all of it.
test test-fast: export PYTHONDONTWRITEBYTECODE =

test: $(VENV)/.dev  ## the whole test suite, against real servers and processes; the last lines say what was skipped
	$(MAKE) browser || echo "No browser can be installed here: the tests of the page will be skipped."
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

test-fast: $(VENV)/.dev  ## what needs no server and no browser, in a minute or so
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile $(FAST)

browser: $(VENV)/.dev  ## a browser for the tests of the page, where the system has none
	command -v chromium || command -v chromium-browser || command -v google-chrome \
		|| timeout 300 $(BIN)/playwright install --with-deps chromium

dist: pyproject.toml  ## wheel and sdist in dist/, and the wheel tried in a clean environment
	PYTHON=$(PYTHON) .ci/check-wheel

lint: $(VENV)/.dev  ## formatting, lint, imports and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.dev  ## the documentation as a site, in build/site/site
	$(BIN)/python -m docs.generate
	$(BIN)/python -m docs.site build/site

bench: $(VENV)/.dev  ## ratios against a baseline in the same run; tables, and JSON in bench/
	mkdir -p bench
	$(BIN)/python -m benchmarks.engine --memory --json bench/engine.json
	$(BIN)/python -m benchmarks.sharing --json bench/sharing.json
	$(BIN)/python -m benchmarks.growth --json bench/growth.json
	$(BIN)/python -m benchmarks.ensembles --json bench/ensembles.json
	$(BIN)/python -m benchmarks.analytic --json bench/analytic.json
	$(BIN)/python -m benchmarks.overhead --json bench/overhead.json
	$(BIN)/python -m benchmarks.scale_out --json bench/scale_out.json
	$(BIN)/python -m benchmarks.exactness --json bench/exactness.json

chaos: $(VENV)/.dev  ## kill everything for MINUTES minutes and look at every job; CLUSTER=1: on a three-node cluster
	$(BIN)/python -m tests.chaos.run --minutes $(MINUTES) $(if $(CLUSTER),--cluster)

soak: $(VENV)/.dev  ## a thousand jobs, and what they leave behind
	$(BIN)/python -m tests.chaos.soak --jobs 1000

clean:
	rm -rf $(VENV) demo bench dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

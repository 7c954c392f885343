# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
MINUTES ?= 10

.PHONY: demo test lint format bench clean

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

test: $(VENV)/.dev  ## the whole test suite, against real servers and processes
	$(BIN)/python -m pytest

lint: $(VENV)/.dev  ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev  ## ratios against plain autograd in the same run; writes bench.json
	$(BIN)/python -m benchmarks.engine --json bench.json

clean:
	rm -rf $(VENV) demo bench.json dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis

# `make` alone lists the targets. PYTHON names the interpreter that .venv is made from.

PYTHON ?= python3
ARGS ?=
# Processes that run tests side by side, the third at low priority; 0 runs them in pytest itself
# (for --pdb, say).
WORKERS ?= 3

VENV := .venv
BIN := $(VENV)/bin
# Groups of tests are handed out whole, in the order of tests/distribution.py.
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# A stamp is newer than what it was made from; nothing is installed twice.
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev

.DEFAULT_GOAL := help
.PHONY: help install up test test-unit check bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(RUNTIME) ## make .venv with the run-time requirements and the tapewire command

up: $(RUNTIME) ## start everything and print the dashboard's address (ARGS="--feed live")
	@$(BIN)/python scripts/build_dashboard.py
	@exec $(BIN)/tapewire up $(ARGS)

test: ## run all tests; first install what is missing (says what, and how large)
	@PYTHON="$(PYTHON)" sh scripts/test_servers.sh
	@$(MAKE) --no-print-directory $(DEV)
	$(PYTEST) $(ARGS)

test-unit: $(DEV) ## run the tests that need no server
	$(PYTEST) -m unit $(ARGS)

check: $(DEV) ## lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(DEV) ## run the benchmarks (ARGS="fold --json")
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove .venv, caches and build products
	rm -rf $(VENV) web/node_modules web/dist build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find src tests benchmarks scripts -type d -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) scripts/check_python.py
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): requirements.lock pyproject.toml | $(BIN)/python
	@echo "installing the run-time requirements: about 20 MB to fetch, 120 MB on disk"
	$(PIP) install --require-hashes --requirement requirements.lock
	$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

$(DEV): requirements-dev.lock $(RUNTIME)
	@echo "installing the development requirements: about 165 MB to fetch, 620 MB on disk"
	$(PIP) install --no-compile --require-hashes --requirement requirements-dev.lock
	@touch $@

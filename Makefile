# Everything a newcomer or CI types: `make quickstart`, `make test`; `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Python compiles a module when it is first imported; most of them never are.
INSTALL := $(PIP) install -qq --no-compile --constraint constraints.txt
# Where the user's environment forbids it, each of hundreds of programs would compile all that it imports again.
unexport PYTHONDONTWRITEBYTECODE
# A file's tests stay together, for what they share; the slow files come first, as collected.
SIDE_BY_SIDE := --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help quickstart setup test test-all fuzz lint format wheels clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

quickstart: $(VENV)/installed-light ## install, build the runtime, package the built-in model, ask it, measure it
	@test -e $(VENV)/installed || $(BIN)/python -m sphere_edge.toolchain.early \
	  '$(MAKE) --no-print-directory $(VENV)/installed-tools' '$(MAKE) --no-print-directory setup'
	@$(MAKE) --no-print-directory setup
	@$(BIN)/sphere-edge quickstart

setup: $(VENV)/installed ## install into .venv, nothing else

test: $(VENV)/installed-dev ## lint, then the tests; lists what was skipped here, and left out as unchanged
	@$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --record-groups

test-all: $(VENV)/installed-dev ## lint, then every test; make test-NAME: the group NAME of tests/groups.py
	@$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --all-groups --record-groups

test-%: $(VENV)/installed-dev
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --group=$* --record-groups

# For each target.
MINUTES := 10

fuzz: $(VENV)/installed-dev ## coverage-guided fuzzing, MINUTES=10 for each reader; make fuzz-NAME: one of them
	$(BIN)/python -m fuzz --minutes $(MINUTES)

fuzz-%: $(VENV)/installed-dev
	$(BIN)/python -m fuzz $* --minutes $(MINUTES)

lint: $(VENV)/installed-dev ## ruff, mypy, import-linter, clang-format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	git ls-files 'native/*.h' 'native/*.c' 'native/*.cpp' 'fuzz/*.h' 'fuzz/*.cpp' | xargs $(BIN)/clang-format --dry-run --Werror

format: $(VENV)/installed-dev ## let the machines format what they can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	git ls-files 'native/*.h' 'native/*.c' 'native/*.cpp' 'fuzz/*.h' 'fuzz/*.cpp' | xargs $(BIN)/clang-format -i

wheels: setup ## wheels with finished runtimes, in dist/wheels: WHEELS="x86_64 aarch64 runtimes" names others
	$(BIN)/python wheels/build.py $(WHEELS)

clean: ## remove .venv and caches of this checkout (native builds lie in the user's cache folder)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# The stamps make a second run work offline and in no time.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo 'error: sphere-edge needs Python 3.10 or newer; name one with `make PYTHON=python3.12 …`'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -qq --upgrade 'pip>=25.1'

# What sphere_edge.toolchain.early runs with, and what it compiles with.
$(VENV)/installed-light: constraints.txt | $(VENV)/bin/python
	$(INSTALL) platformdirs psutil pydantic rich
	@touch $@

$(VENV)/installed-tools: constraints.txt | $(VENV)/bin/python
	$(INSTALL) cmake ninja ziglang
	@touch $@

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(INSTALL) --group dev --editable '.[cuda]'
	@touch $@

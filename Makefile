# One verb per need; each sets up what it needs by itself in .venv, from locked versions.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUN    := $(VENV)/.installed-run
EXTRAS := $(VENV)/.installed-extras
DEV    := $(VENV)/.installed-dev
PIP    := $(BIN)/python -m pip --disable-pip-version-check -q

.DEFAULT_GOAL := help
.PHONY: help install extras demo test check sim faults bench lock format clean

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "harvester needs Python 3.11 or newer; name one with: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUN): $(BIN)/python requirements/run.txt requirements/build.txt pyproject.toml
	$(PIP) install --require-hashes -r requirements/build.txt -r requirements/run.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): $(RUN) requirements/dev.txt
	$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

install: $(RUN) ## make .venv/bin/harvester, from locked versions
	@echo "installed: $(BIN)/harvester"

$(EXTRAS): $(RUN) requirements/extras.txt
	$(PIP) install --require-hashes -r requirements/extras.txt
	@touch $@

extras: $(EXTRAS) ## add what query, export, publish and fast gzip need, from locked versions

demo: $(RUN) ## harvest a few dozen simulated campaigns over real HTTP, on loopback
	@$(BIN)/harvester demo

test: $(DEV) ## run all tests
	@$(BIN)/python -m pytest -n auto --dist worksteal

check: $(DEV) ## lint, formatting, types, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

SEEDS ?= 200
FROM ?= 0
sim: $(DEV) ## simulate SEEDS nights in virtual time, faults, kills and lockouts included, and thirty nights in a row
	@$(BIN)/python tests/simulation/run.py --seeds $(SEEDS) --from $(FROM)
	@$(BIN)/python tests/simulation/thirty_nights.py

faults: $(DEV) ## kill a run before, and refuse it, each change it makes to the disk; needs strace
	@command -v strace >/dev/null || { echo "make faults needs strace to lay faults in the way of system calls: apt-get install strace"; exit 1; }
	@$(BIN)/python -m pytest -n auto --dist worksteal tests/faults

bench: $(DEV) ## measure speed and memory; prints the tables of docs/performance.md
	@$(BIN)/python bench/run.py

format: $(DEV) ## format the code
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

lock: $(DEV) ## renew the locked versions
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q pyproject.toml -o requirements/run.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q requirements/build.in -o requirements/build.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q --group dev -c requirements/run.txt -o requirements/dev.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q --all-extras -c requirements/dev.txt pyproject.toml -o requirements/extras.txt

clean: ## remove what these commands made
	rm -rf $(VENV) demo .mypy_cache .pytest_cache .ruff_cache .hypothesis

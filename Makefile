# Everything that one does with a clone. `make help` lists it.
# The environment is .venv in the clone; downloads are kept in ~/.cache/hearth, nothing else is written elsewhere.

SHELL := /bin/bash
.SHELLFLAGS := -eo pipefail -c
.DEFAULT_GOAL := help

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/hearth
export PIP_CACHE_DIR := $(CACHE)/pip
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# the first of these that is a Python >= 3.11 and can make an environment
PYTHONS := $(PYTHON) python3.11 python3.12 python3.13 python3.14 python3 /usr/bin/python3.11 /usr/bin/python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: help up down status check test fmt lint types unit integration faults load bench bench-events bench-workflows bench-streams

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | \
	  while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

up: .venv/.ready ## start everything, deploy and invoke an example; Ctrl-C stops it
	@exec $(BIN)/hearth up

down: .venv/.ready ## stop what `make up` or `hearth up --detach` started
	@$(BIN)/hearth down

status: .venv/.ready ## what runs
	@$(BIN)/hearth status

check: lint types unit ## lint, types, import rules and pure tests: under a minute, no root, no servers

# Tests mostly wait for servers and processes; each process of pytest has servers and a platform of its own.
# A file is one process's; tests/conftest.py says which come first.
TEST_PROCESSES ?= 4

test: .venv/.ready-dev ## every test but `make faults`, with real servers and sandboxes (installs what they need)
	@$(BIN)/python -m tests.support.prepare
	@$(PYTEST) --timeout=600 -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder tests/load tests/integration tests/unit

fmt: .venv/.ready-dev ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lint: .venv/.ready-dev ## style and import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

types: .venv/.ready-dev ## mypy
	@$(BIN)/mypy

unit: .venv/.ready-dev ## pure tests
	@$(PYTEST) tests/unit

integration: .venv/.ready-dev ## tests with real servers and sandboxes
	@$(BIN)/python -m tests.support.prepare
	@$(PYTEST) tests/integration

faults: .venv/.ready-dev ## tests that kill workers, servers and broker nodes under load: some eight minutes more
	@$(BIN)/python -m tests.support.prepare
	@$(PYTEST) --timeout=600 -n 2 --dist loadfile --no-loadscope-reorder tests/faults

load: .venv/.ready-dev ## locust against a platform of its own for a minute; docs/load.md
	@$(BIN)/python -m tests.support.prepare
	@$(BIN)/python -m tests.load.run

bench: .venv/.ready-dev ## this platform against the bare pipe of its parts, and Celery
	@$(BIN)/python bench/run.py

bench-events: .venv/.ready-dev ## pushes alone and beside events at full speed, in one run
	@$(BIN)/python bench/events_beside_pushes.py

bench-workflows: .venv/.ready-dev ## transitions per second of Express and Standard workflows
	@$(BIN)/python bench/workflows.py

bench-streams: .venv/.ready-dev ## records per second in and out of a shard, latency, catching up, idle cost
	@$(BIN)/python bench/streams.py

.venv/.python:
	@found=; for python in $(PYTHONS); do \
	  if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "Hearth needs Python 3.11 or newer with venv. On Debian or Ubuntu: sudo apt-get install python3 python3-venv" >&2; \
	  echo "Elsewhere name it: make up PYTHON=/path/to/python3.11" >&2; exit 1; \
	fi; \
	echo "making .venv with $$("$$found" --version)"; \
	"$$found" -m venv .venv && touch $@

# installed anew only when pyproject.toml has changed
.venv/.ready: pyproject.toml | .venv/.python
	@echo "installing Hearth into .venv"
	@$(BIN)/python -m pip install --progress-bar on -e '.[tour]' | { grep --line-buffered -vE '^(Requirement already|  )' || true; }
	@touch $@

.venv/.ready-dev: pyproject.toml | .venv/.python
	@echo "installing Hearth with its tests' and developers' tools into .venv"
	@$(BIN)/python -m pip install --progress-bar on -e '.[test,dev,load,bench]' | { grep --line-buffered -vE '^(Requirement already|  )' || true; }
	@touch $@ .venv/.ready

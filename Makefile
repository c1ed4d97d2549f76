# One venv, locked versions; every target sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
STAMP := $(VENV)/.kernel

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long test-community lint bench bench-events bench-samples bench-remote-write bench-agent bench-metrics lock clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

setup: $(STAMP) ## the virtual environment with everything in it

# The decode kernel, where a compiler is: again whenever its source changed.
$(STAMP): $(READY) ingest/remotewrite/kernel.c hatch_build.py
	@$(BIN)/python hatch_build.py
	@touch $@

# --without-pip: a minimal Debian has pip but not ensurepip.
$(READY): pyproject.toml requirements-dev.txt
	@echo "setting up $(VENV) (once; about a minute)"
	@$(PYTHON) -m venv --without-pip --clear $(VENV)
	@$(PYTHON) -m pip --python $(BIN)/python install --quiet --no-input --disable-pip-version-check --root-user-action=ignore -r requirements-dev.txt
	@$(PYTHON) -m pip --python $(BIN)/python install --quiet --no-input --disable-pip-version-check --root-user-action=ignore --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP) ## the whole thing running on this machine (DEMO_ARGS="--duration 60 --port 18080")
	@$(BIN)/tsobs demo $(DEMO_ARGS)

test: $(STAMP) ## lint, then the first tier of tests (under 20 minutes)
	@$(BIN)/python -m tests.tier first $(PYTEST_ARGS)

test-long: $(STAMP) ## every test, with the figures as written
	@$(BIN)/python -m tests.tier long $(PYTEST_ARGS)

test-community: $(STAMP) ## the suite on a Community server (~/.config/tsobs/test.toml); writes tests/community.json
	@$(BIN)/python -m tests.tier community $(PYTEST_ARGS)

lint: $(STAMP) ## ruff, mypy --strict, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: bench-samples bench-events bench-remote-write bench-agent bench-metrics ## every benchmark

bench-samples: $(STAMP) ## rows/s through POST /v1/samples beside raw binary COPY
	@$(BIN)/python -m tests.bench.samples $(BENCH_ARGS)

bench-events: $(STAMP) ## events/s through POST /v1/events with a million jobs in the store
	@$(BIN)/python -m tests.bench.events $(BENCH_ARGS)

bench-remote-write: $(STAMP) ## remote-write beside VictoriaMetrics, Prometheus and raw COPY (half an hour)
	@$(BIN)/python -m tests.bench.remotewrite $(BENCH_ARGS)

bench-agent: $(STAMP) ## the agent's CPU and memory with 256 jobs and 8 GPUs, beside node_exporter (root)
	@$(BIN)/python -m tests.bench.agent $(BENCH_ARGS)

bench-metrics: $(STAMP) ## a page of /metrics for 10,000 jobs, beside prometheus_client's generate_latest
	@$(BIN)/python -m tests.bench.metrics $(BENCH_ARGS)

lock: ## write requirements-dev.txt anew from pyproject.toml's ranges
	@$(PYTHON) -m tests.lock

clean: ## remove what setup and the tools left here
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist ingest/remotewrite/_kernel.abi3.so

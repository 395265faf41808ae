# Needs python3.11, gcc and make. Everything else comes from constraints.txt.

PYTHON ?= $(firstword $(foreach name,python3.11 python3 python,$(shell \
	$(name) -c 'import sys; sys.version_info[:2] == (3, 11) and print("$(name)")' 2>/dev/null)))
PORT ?= 3000
JOBS ?= 3
BIN := .venv/bin
READY := .venv/ready
HOME_FOLDER := .dagster_home
PEERS := build/bench/peers

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export PYRIGHT_PYTHON_GLOBAL_NODE := 0

.PHONY: help setup demo demo-doubles dev test faults bench lint constraints clean

help: ## print this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 18

setup: $(READY) ## make .venv with everything that a run, the tests and the linters need

demo: $(READY) ## sync the demo shop from an embedded PostgreSQL; ARGS="--no-ui --json --scale 0.1"
	$(BIN)/syncer demo $(ARGS)

demo-doubles: $(READY) ## the same into a double of Redshift (over an S3 server) and one of Snowflake; ARGS="--scale 0.02 redshift"
	$(BIN)/python -m syncer_assets_tests.doubles.demo $(ARGS)

dev: $(READY) $(HOME_FOLDER) ## serve the UI on the shipped definitions, PORT=3000; the demo's databases unless SHOP_DSN is set
	DAGSTER_HOME="$(CURDIR)/$(HOME_FOLDER)" $(BIN)/python -m syncer_assets.demo \
		$(BIN)/dg dev --host 127.0.0.1 --port $(PORT) --workspace workspace.yaml

test: $(READY) ## run all tests in JOBS=3 processes; ARGS="-k name"
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

faults: $(READY) ## every fault and kill point on real servers, and the page docs/faults.md of what was measured; ARGS="--seeds 3 --minutes 30 --only 7 12"
	$(BIN)/python -m syncer_assets_tests.faults --jobs $(JOBS) $(ARGS)

bench: $(READY) $(PEERS)/ready ## our engine and its peers in turn, against the targets; ARGS="--scale 0.02 --runs 1 --only sparse --no-peers"
	SYNCER_BENCH_PEERS=$(PEERS) $(BIN)/python -m syncer_assets_tests.benchmarks $(ARGS)

lint: $(READY) ## ruff, pyright, Dagster's check of the shipped YAML, and an audit of the dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	DAGSTER_HOME="$(CURDIR)" $(BIN)/dg check yaml  # where dagster.yaml says: no telemetry
	$(BIN)/python -m syncer_assets_tests.audit

constraints: ## freeze constraints.txt anew, after a change of pyproject.toml
	rm -rf build/freeze
	$(PYTHON) -m venv build/freeze
	build/freeze/bin/pip install --quiet --upgrade setuptools
	build/freeze/bin/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	build/freeze/bin/pip freeze --all --exclude pip --exclude-editable | grep == | LC_ALL=C sort -f > build/constraints.txt
	mv build/constraints.txt constraints.txt

clean: ## remove what make made, but for the lake in data/
	rm -rf .venv .demo $(HOME_FOLDER) build *.egg-info .pytest_cache .ruff_cache .hypothesis syncer_assets/drivers/*.so

$(READY): pyproject.toml setup.py constraints.txt $(wildcard syncer_assets/drivers/_*.[ch])
	@test -n "$(PYTHON)" || { echo "Python 3.11 was not found; say where it is: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/pip || "$(PYTHON)" -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --no-deps --requirement constraints.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check
	@touch $(READY)

# The peers, and the generator of the data, have dependencies of their own, which the project's venv is to be free of.
$(PEERS)/ready: syncer_assets_tests/benchmarks/peers.txt
	test -x $(PEERS)/bin/pip || "$(PYTHON)" -m venv --clear $(PEERS)
	$(PEERS)/bin/pip install --quiet --requirement syncer_assets_tests/benchmarks/peers.txt
	@touch $(PEERS)/ready

# Webserver and daemon would race to create the tables of a new instance.
$(HOME_FOLDER): $(READY)
	mkdir -p $(HOME_FOLDER)
	ln -sf ../dagster.yaml $(HOME_FOLDER)/dagster.yaml
	DAGSTER_HOME="$(CURDIR)/$(HOME_FOLDER)" $(BIN)/python -c "import dagster; dagster.DagsterInstance.get()"
	@touch $(HOME_FOLDER)

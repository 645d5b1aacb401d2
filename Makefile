# Two commands set up a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
SANDBOX ?= auto
BASE_IMAGE ?= python:3.12-slim-bookworm
JOBS ?= 2
BIN := .venv/bin
PYTEST = $(BIN)/python -m pytest $(PYTEST_ARGS)
# pytest keeps its rewritten plugins as bytecode; without it each of many runs rewrites them anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-slow defences lint schemas image bench clean

demo: .venv/done .venv-demo/done
	$(BIN)/agent models pull
	$(BIN)/python examples/demo.py --sandbox $(SANDBOX) --env $(CURDIR)/.venv-demo

# The default tests, then those that take long or run a real model. Without a Docker engine the
# container tests are left out, unless REQUIRE_DOCKER is set. Containers and models come one at a time.
test: .venv/done lint
	$(PYTEST) --numprocesses $(JOBS) -m "not slow and not model and not docker"
	$(call with-docker,not slow and not model and docker)

test-slow: .venv/done
	$(PYTEST) --numprocesses $(JOBS) -m "slow and not model and not docker"
	$(PYTEST) -m "model and not docker"
	$(call with-docker,(slow or model) and docker)

define with-docker
	@if docker info >/dev/null 2>&1; then \
	    docker image inspect apprentice-sandbox >/dev/null 2>&1 || $(MAKE) image; \
	    $(PYTEST) -m "$(1)"; \
	elif [ -n "$(REQUIRE_DOCKER)" ]; then \
	    echo "no Docker engine answers" >&2; exit 1; \
	else \
	    echo "No Docker engine answers: the container tests are left out."; \
	fi
endef

# Switches each defence off in a copy, and expects a test to fail.
defences: .venv/done
	$(BIN)/python -m tests.redteam.switch_off

lint: .venv/done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The JSON Schemas of what is printed with --json; a test says when they are out of date.
schemas: .venv/done
	$(BIN)/python -m agent.schemas docs/schemas

image:
	docker build --build-arg BASE_IMAGE=$(BASE_IMAGE) -t apprentice-sandbox .

bench: .venv/done .venv-demo/done
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/contention.py
	$(BIN)/python benchmarks/fix_overhead.py
	$(BIN)/python benchmarks/solve_overhead.py --env $(CURDIR)/.venv-demo
	$(BIN)/python benchmarks/tool_call_latency.py

.venv/done: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

.venv-demo/done: examples/shop/requirements.txt
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install --quiet -r examples/shop/requirements.txt
	touch $@

clean:
	rm -rf .venv .venv-demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache

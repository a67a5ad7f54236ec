# Nothing but make and Python (3.10 or newer) has to be there; the rest goes into .venv.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
LABEXTENSION := $(wildcard labextension/*.js* labextension/*.py) $(shell find labextension/src labextension/style -type f)
ARGS ?=
export PATH := $(CURDIR)/$(BIN):$(PATH)
ifeq ($(shell test -d "$$HOME" && test -w "$$HOME" && echo yes),)
export HOME := $(CURDIR)/$(VENV)/home
endif

.PHONY: help demo lab test check bench clean

help: ## show this
	@echo 'make TARGET; what it needs is installed into $(VENV) first'
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.with-lab ## run a real workflow on this machine
	@cd example_notebooks && hybridnb run digits.yaml --new $(ARGS)
	@run=$$(ls -td example_notebooks/digits.runs/*/ | head -n 1) && \
	  printf '\n%s\n' 'What the run left:' && \
	  for file in run.yaml journal.yaml graph.svg; do echo "  $$run$$file"; done && \
	  printf '%s\n\n' '  example_notebooks/results/report.md' && cat example_notebooks/results/report.md && \
	  printf '\n%s\n' 'make lab opens the notebook of this workflow.'

lab: $(VENV)/.with-lab ## open the notebook of that workflow in JupyterLab
	$(BIN)/jupyter lab $(ARGS) example_notebooks/walks.ipynb

test: $(VENV)/.with-test ## ruff, mypy and every test; ARGS="-k runner" goes to pytest
	@tests/testbed/install || echo 'Not everything could be installed; the rest is tested.' >&2
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/pytest $(ARGS)

check: $(VENV)/.with-test ## ruff, its formatter and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(VENV)/.with-test ## measure; the figures of record are in tests/bench/README.md
	$(BIN)/python tests/bench $(ARGS)

clean: ## remove the environment and all that runs, tests and builds left here
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis example_notebooks/results example_notebooks/primes example_notebooks/walks example_notebooks/*.runs \
	  labextension/node_modules labextension/lib labextension/built
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The file says: installed, with this extra, as pyproject.toml and the labextension now are; installing builds the latter.
$(VENV)/.with-%: pyproject.toml $(LABEXTENSION) | $(BIN)/python
	@mkdir -p "$(HOME)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

$(BIN)/python:
	@for python in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python; do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && break; python=; \
	done; \
	[ -n "$$python" ] || { echo 'hybridnb needs Python 3.10 or newer, and found none on the PATH' >&2; exit 1; }; \
	echo "$$python -m venv $(VENV)"; \
	"$$python" -m venv $(VENV) >/dev/null 2>&1 || { rm -rf $(VENV); "$$python" -m virtualenv --quiet $(VENV) 2>/dev/null; } || \
	  uv venv --quiet --seed --python "$$python" $(VENV) 2>/dev/null || \
	  { rm -rf $(VENV); echo "$$python cannot make an environment. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

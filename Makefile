# make demo · make test · make bench · make docs · make dist · make lint · make clean
#
# Each target sets up the one environment .venv by itself, and does so again only when a pyproject.toml, a list of
# requirements or constraints.txt has changed. PYTHON chooses the interpreter for a new environment; PIP_FLAGS is passed
# to every pip install (an index, a proxy, a cache); PYTEST_FLAGS to pytest (-m "not wheels" is the quick round).

VENV         := .venv
BIN          := $(VENV)/bin
PYTHON       ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
                  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && exit; done; echo python3)
PIP_FLAGS    ?=
PYTEST_FLAGS ?=
PLUGINS      := $(wildcard plugins/kernreg-*)
METADATA     := pyproject.toml $(PLUGINS:%=%/pyproject.toml) kernreg_core/_version.py constraints.txt
PIP_INSTALL   = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt $(PIP_FLAGS)

export PIP_FLAGS
# After make bench, GPyTorch imports KeOps, which prints a line where there is no CUDA: doctests would see it.
export KEOPS_VERBOSE ?= 0

.PHONY: demo test bench docs dist lint clean
.DEFAULT_GOAL := test

demo: $(VENV)/.kernreg-base
	$(BIN)/kernreg demo

test: lint
	$(BIN)/python -m pytest --timeout=900 $(PYTEST_FLAGS)

lint: $(VENV)/.kernreg-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.kernreg-bench
	@status=0; for bench in tests/benchmarks/bench_*.py; do \
	  echo "== $$bench"; $(BIN)/python $$bench || status=1; done; exit $$status

docs: $(VENV)/.kernreg-docs
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

# The wheel is built from the sdist, so an sdist that does not build alone is an error.
dist: $(VENV)/.kernreg-tests
	rm -rf dist
	@for folder in . $(PLUGINS); do \
	  echo "building $$folder"; log=$$($(BIN)/python -m build --no-isolation --outdir dist $$folder 2>&1) || \
	  { echo "$$log" >&2; exit 1; }; done
	$(BIN)/twine --no-color check --strict dist/*
	$(BIN)/python tests/tools/check_dist.py dist

# Leaves .venv, which is slow to make again.
clean:
	rm -rf dist build docs/_build docs/entries docs/laws .mypy_cache .pytest_cache .ruff_cache .hypothesis kernreg-demo*.png
	find . -name __pycache__ -not -path './$(VENV)/*' -type d -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "kernreg needs Python 3.11 or later; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Say which interpreter to use: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# What the demo needs: the core and every plugin, editable, and what draws the figure.
# hatchling and editables come first so that the editable installs need no environments of their own.
$(VENV)/.kernreg-base: $(METADATA) | $(BIN)/python
	$(PIP_INSTALL) editables hatchling
	$(PIP_INSTALL) --no-build-isolation $(addprefix --editable ,. $(PLUGINS:%=./%)) matplotlib
	@touch $@

$(VENV)/.kernreg-tests: tests/requirements.txt $(VENV)/.kernreg-base
	$(PIP_INSTALL) --requirement tests/requirements.txt
	@touch $@

$(VENV)/.kernreg-bench: tests/benchmarks/requirements.txt $(VENV)/.kernreg-tests
	$(PIP_INSTALL) --requirement tests/benchmarks/requirements.txt
	@touch $@

$(VENV)/.kernreg-docs: docs/requirements.txt $(VENV)/.kernreg-base
	$(PIP_INSTALL) --requirement docs/requirements.txt
	@touch $@

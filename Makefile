# make demo     install, prepare once, and open the app
# make install  the environment in .venv, and nothing else
# make test     all that the README promises: linters, types, every test
# make bench    PersaRank's speed beside its peers', 20 minutes: make bench BENCH='--quick --only w-sync'
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install demo test bench lint clean

install: $(VENV)/.installed

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("PersaRank needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --editable . --constraint constraints.txt
	touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[test]' --constraint constraints.txt
	touch $@

demo: $(VENV)/.installed
	$(BIN)/persarank demo

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: $(VENV)/.tested
	OMP_NUM_THREADS=2 GOMP_SPINCOUNT=3000 $(BIN)/python -m pytest

bench: $(VENV)/.tested
	OMP_NUM_THREADS=2 $(BIN)/python tests/benchmarks/bench.py $(BENCH)

clean:
	rm -rf $(VENV)

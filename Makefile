# make demo     install, prepare once, and open the app
# make install  the environment in .venv, and nothing else
# make check    while you work: linters, types, and the tests that are not slow
# make test     all that the README promises: linters, types, every test
# make pictures screenshots of every page of the app, for the READMEs
# make bench    PersaRank's speed beside its peers', 20 minutes: make bench BENCH='--quick --only w-sync'
#
# Slow are tests/e2e, tests/benchmarks, and of the rest the slowest files (listed in tests/conftest.py). Two
# processes share the tests, each with one thread; tests of threads set their own number.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TESTS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

.PHONY: install demo check test bench pictures lint clean

install: $(VENV)/.installed

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("PersaRank needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --editable . --constraint constraints.txt
	$(BIN)/python -c 'from ranking.compiled import warm_up; warm_up(); from app.commands.known import known; known()'
	touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[test,flower,ray,privacy,onnx]' --constraint constraints.txt
	touch $@

demo: $(VENV)/.installed
	$(BIN)/persarank demo

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint
	$(TESTS) -m 'not slow'

test: lint
	$(TESTS)

bench: $(VENV)/.tested
	OMP_NUM_THREADS=2 $(BIN)/python tests/benchmarks/bench.py $(BENCH)

pictures: $(VENV)/.tested
	$(BIN)/python tests/pictures.py

clean:
	rm -rf $(VENV)

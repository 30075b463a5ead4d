# On a machine with Python 3.11, two commands do all the set-up: `make search` and `make test`.
PYTHON ?= python3.11
BIN := .venv/bin
WORKERS ?= 2
HOURS ?= 1
RUN_ARGS ?= -b 1MFLOPs -n 24 --epochs 3 --name quick

.PHONY: setup search test test-all check bench bench-check format mutate fuzz

setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

search: setup
	$(BIN)/dcdnas search $(RUN_ARGS)

# Write bytecode files even where the environment disables them, because the tests start many processes that reuse them.
test test-all: export PYTHONDONTWRITEBYTECODE =

test: setup
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow and not gpu"

test-all: setup
	command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium; } || echo "no chromium: the pages are not tested in a browser"
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not gpu"

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m bandit -q -ll --skip B608 -r dcdnas  # SQL whose parts are ours

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Feeds nearly valid files to every reader of files; resumes where the last call ended.
fuzz: setup
	$(BIN)/python tests/faults/fuzz.py --hours $(HOURS)

mutate: setup
	$(BIN)/python tests/mutation/mutate.py --jobs $(WORKERS)

bench: setup
	$(BIN)/python benchmarks/figures.py

# Fails if a speed figure has fallen, by more than its spread, below the one that `make bench` stored for this processor.
# No other target runs it.
bench-check: setup
	$(BIN)/python benchmarks/figures.py --check

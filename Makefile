# Each target sets up .venv when it is missing or pyproject.toml has changed.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test lint bench clean

demo: $(READY)
	$(BIN)/landslide-dist demo

test: lint
	$(BIN)/pytest -n 3 --dist worksteal

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(READY)
	$(BIN)/pip install --quiet --editable '.[bench]'
	for script in benchmarks/bench_*.py; do OMP_WAIT_POLICY=PASSIVE $(BIN)/python $$script --json benchmarks/results/$$(basename $$script .py).json || exit 1; done

# torch first and by its exact version: a plain "torch" may pull gigabytes of GPU libraries.
$(READY): pyproject.toml
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

clean:
	rm -rf .venv runs .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

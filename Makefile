# Few and obvious. `make demo` works in a fresh clone with Python 3.11+ and nothing else; `make test`
# also wants kcat, which it installs where it can.
PYTHON ?= python3
BIN := .venv/bin
TRAIN_BIN := .venv-train/bin
DOCS_BIN := .venv-docs/bin
TRAIN_TESTS := tests/engines/train tests/cli/test_train.py tests/cli/test_evaluate.py tests/cli/test_private_training.py
TWO_PROCESSES := --numprocesses 2 --dist loadfile --no-loadscope-reorder  # most tests wait for others
MINUTES ?= 3
SEED ?= 1
WORKERS ?= 3
KILLS ?= 10
LOCK_OPTIONS := --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet
LOCK := uv pip compile pyproject.toml $(LOCK_OPTIONS)
ONLY_ON_A_GPU := triton nvidia-cusolver nvidia-nvjitlink nvidia-nvtx nvidia-cuda-cccl cuda-bindings cuda-pathfinder cuda-toolkit

.PHONY: setup lock pins sbom demo test evidence test-train model test-all check doubles static docs bench fire chaos failover side-by-side kube mutants format clean

setup: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("longtake needs Python 3.11 or newer; try: make PYTHON=python3.12 setup")'
	$(PYTHON) -m venv .venv
	@echo 'the first time: packages for .venv are fetched and installed, which takes a minute or two'
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

# torch from PyPI is made for CUDA and does not load without most of its libraries. The lock leaves
# out the 1.6 GB that it can do without on a CPU, so pip must not look for them: --no-deps.
.venv-train/installed: requirements-train.lock pyproject.toml
	$(PYTHON) -m venv .venv-train
	@echo 'the first time: torch and others for .venv-train, which takes some minutes'
	$(TRAIN_BIN)/python -m pip install --disable-pip-version-check --no-compile --no-deps --require-hashes -r requirements-train.lock
	$(TRAIN_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

.venv-docs/installed: requirements-docs.lock
	$(PYTHON) -m venv .venv-docs
	$(DOCS_BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-docs.lock
	touch $@

lock:
	$(LOCK) --group dev --extra local --output-file requirements.lock
	$(LOCK) --constraints requirements.lock --output-file requirements-runtime.lock  # what the image gets
	$(LOCK) --group train-tests --extra train --extra pretrained --constraints requirements.lock $(ONLY_ON_A_GPU:%=--no-emit-package %) --output-file requirements-train.lock
	$(LOCK) --extra tensorrt --constraints requirements-runtime.lock --no-emit-package tensorrt-cu13-libs --output-file requirements-gpu.lock  # the GPU image; deploy/unpinned.toml says why without that one
	$(LOCK) --extra tensorrt-rtx --constraints requirements-runtime.lock --output-file requirements-rtx.lock
	uv pip compile --group build --constraints requirements.lock --constraints doubles/requirements/tools.txt $(LOCK_OPTIONS) --output-file requirements-build.lock  # what both images build with
	uv pip compile --group docs $(LOCK_OPTIONS) --output-file requirements-docs.lock  # Sphinx, and nothing of longtake

# the digests of the images in deploy/, as Docker Hub has them today
pins: setup
	$(BIN)/python -m tests.deploy.pinned_images

# a bill of materials (CycloneDX) and the licences of everything in the locks, and of Kafka's jars
sbom: setup
	$(BIN)/python -m tests.deploy.bill_of_materials build

demo: setup
	$(BIN)/longtake demo

test: static doubles
	tests/setup-system.sh || [ -z "$$CI" ]  # elsewhere the tests that need it are skipped, and say so
	$(BIN)/python -m pytest -m "not slow" $(TWO_PROCESSES)

# what the commands reach and write, line by line
evidence: setup
	$(BIN)/python -m pytest --quiet --capture=no tests/cli/test_privacy.py tests/cli/test_private_training.py

test-train: .venv-train/installed
	$(TRAIN_BIN)/python -m pytest -m "not slow" $(TWO_PROCESSES) $(TRAIN_TESTS)

model: .venv-train/installed
	$(TRAIN_BIN)/longtake train --recipe actions --out build/actions

test-all: export TESTS_THOROUGH = 1
test-all: static doubles .venv-train/installed
	tests/setup-system.sh || [ -z "$$CI" ]  # elsewhere the tests that need it are skipped, and say so
	$(BIN)/python -m pytest
	$(TRAIN_BIN)/python -m pytest $(TRAIN_TESTS)

check: static doubles
	$(BIN)/python -m pytest -q -m "not kafka and not slow" --ignore doubles --ignore tests/cameras --ignore tests/damaged --ignore tests/deploy $(TWO_PROCESSES)

doubles: setup
	$(BIN)/python -m doubles.parts || [ -z "$$CI" ]  # elsewhere the tests that need them are skipped

static: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# every warning is an error, a link that leads nowhere among them
docs: .venv-docs/installed
	$(DOCS_BIN)/sphinx-build --quiet --fail-on-warning --keep-going -c docs . build/site
	@echo "the site is in build/site/index.html"

# all of tests/bench that can be named: BENCH=cost, memory, page, steady, video; without it, the loops
bench: setup
	$(BIN)/python -m tests.bench$(addprefix .,$(BENCH))

# good cameras beside hostile producers, a minute each
fire: setup
	$(BIN)/python -m tests.fire

mutants: setup doubles
	$(BIN)/python -m tests.mutants

chaos: setup
	$(BIN)/python -m tests.chaos --minutes $(MINUTES) --seed $(SEED) --workers $(WORKERS)

failover: setup
	$(BIN)/python -m tests.chaos.failover --kills $(KILLS)

side-by-side: setup
	$(BIN)/python -m tests.chaos.side_by_side --minutes $(MINUTES)

# scaling, rollouts, crashes and lost nodes, with the containers of deploy/kubernetes as processes
kube: setup
	$(BIN)/python -m tests.deploy.kubernetes

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-train .venv-docs build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOWEST := .venv-lowest
# The source of torch for test-lowest: PyTorch's index of builds without CUDA; `LOWEST_TORCH=` takes those of PyPI.
LOWEST_TORCH ?= --torch-backend cpu
PORT ?= 8501
# The folder with the archives of both data sets, or one data set.
DATA ?= ../shared/data
PHOTOS ?= $(DATA)
CIFAR10 ?= $(DATA)
# The folder for the checkpoints of trainings.
RUNS ?= runs
GPU_NETWORKS := $(foreach depth,18 34,resnet$(depth)-imagenette plain$(depth)-imagenette) resnet110-cifar10 plain110-cifar10

# By default glibc returns large blocks to the system after each pass and faults them in again, which takes a quarter of a ResNet-50's time.
export MALLOC_TRIM_THRESHOLD_ := 17179869184
export MALLOC_MMAP_THRESHOLD_ := 17179869184
export MALLOC_TOP_PAD_ := 268435456

.PHONY: help run test test-unit test-lowest test-browser test-networks quality format serve bench screen walk load faults soak siege docs gpu gpu-train workers screenshots zoo zoo-check clean

help: ## List all targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

run: $(VENV)/.run ## Set up a virtual environment and start the app on http://localhost:8501 (PORT=...)
	$(BIN)/streamlit run app/main.py --server.port $(PORT)

serve: PORT = 8000
serve: $(VENV)/.serve ## Start the engine on Ray Serve on http://localhost:8000 (PORT=...); RESNET_VIZ_ENGINE connects the app to it
	PORT=$(PORT) $(BIN)/python -m resnet_viz.engine.serving

test: $(VENV)/.dev quality test-unit test-browser ## Set up a virtual environment and run all checks and tests (browser tests need Chromium)

# Two tests, or an app and its browser, run at the same time: more threads would wait for one another.
test-unit test-lowest test-browser test-networks: export OMP_NUM_THREADS := 1

test-unit: $(VENV)/.dev ## Run the tests that do not need a browser
	$(BIN)/pytest -m "not browser and not networks" -n 2 --dist loadfile --no-loadscope-reorder

test-networks: $(VENV)/.dev ## Find the blocks of torchvision's and timm's networks and compare each with the network itself (takes minutes)
	$(BIN)/pytest -m networks -n 2

test-lowest: $(VENV)/.dev ## Run the unit tests with the lowest library versions that pyproject.toml allows
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(LOWEST)
	$(BIN)/uv pip install --python $(LOWEST) $(LOWEST_TORCH) --resolution lowest-direct -e ".[remote,signin]"
	$(BIN)/uv pip freeze --python $(LOWEST) --exclude-editable > $(LOWEST)/lowest.txt
	$(BIN)/uv pip install --python $(LOWEST) $(LOWEST_TORCH) --constraints $(LOWEST)/lowest.txt pip -r requirements-dev.txt
	$(LOWEST)/bin/pytest -m "not browser and not networks" -n 2 --dist loadfile --no-loadscope-reorder

# A slow machine sometimes answers a browser later than its test waits: once more then, and named in the summary.
test-browser: $(VENV)/.dev ## Run the browser tests in Chromium (RESNET_VIZ_SCREENSHOTS=1 keeps screenshots in artifacts/)
	$(BIN)/pytest -m browser -n 2 --dist loadfile --reruns 1

quality: $(VENV)/.dev ## Check formatting, lint rules, types and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Format the code and apply the linter's automatic fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev ## Compare with the bare pass and with other libraries; writes benchmarks/RESULTS.md
	$(BIN)/python benchmarks/bench.py

screen: $(VENV)/.dev ## Measure waiting times in a real browser; writes benchmarks/RESULTS.md
	$(BIN)/python benchmarks/screen.py

walk: export OMP_NUM_THREADS := 1
walk: $(VENV)/.dev ## Let thirty sessions walk through the app for three minutes; writes benchmarks/RESULTS.md
	$(BIN)/python benchmarks/walk.py

load: export OMP_NUM_THREADS := 1
load: $(VENV)/.dev ## Simulate thirty people for two minutes on each engine; writes benchmarks/RESULTS.md
	$(BIN)/python benchmarks/load.py

faults: $(VENV)/.dev ## Kill a replica and the engine, and cut a browser's network, under load; writes benchmarks/RESULTS.md
	$(BIN)/python benchmarks/faults.py

soak: $(VENV)/.dev ## Run 500 inspections in 20 sessions and check for leaks; writes benchmarks/RESULTS.md
	$(BIN)/python benchmarks/soak.py

# For a machine with a GPU that has its own torch and where nothing can be installed: no virtual environment is used.
gpu: ## Run the CUDA tests and measure throughput and ratios on this machine's GPU (at most 9 minutes); writes benchmarks/RESULTS.md
	$(PYTHON) benchmarks/gpu.py

gpu-train: $(GPU_NETWORKS:%=train-%) ## Train the networks that need a GPU, on photos and CIFAR-10 (with -j: at once); resumes interrupted runs

train-%-imagenette:
	$(PYTHON) -m resnet_viz.training train $*-imagenette --data $(PHOTOS) --runs $(RUNS)

train-%-cifar10:
	$(PYTHON) -m resnet_viz.training train $*-cifar10 --data $(CIFAR10) --runs $(RUNS)

docs: $(VENV)/.dev ## Build the documentation site in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

workers: $(VENV)/.dev ## Compare two workers of a survey on Ray with one; writes benchmarks/RESULTS.md
	$(BIN)/python benchmarks/survey_workers.py

siege: $(VENV)/.dev ## Attack the app with hostile uploads and requests from thirty sessions; writes benchmarks/RESULTS.md
	$(BIN)/python benchmarks/siege.py

screenshots: $(VENV)/.dev ## Take the screenshots in docs/ from the running app
	$(BIN)/python -m docs.screenshots

zoo: $(VENV)/.run ## Train the shipped networks and write their weights, cards and curves (DATA=folder or archive); resumes an interrupted run
	$(BIN)/python -m resnet_viz.training zoo --data $(DATA)

zoo-check: $(VENV)/.run ## Measure the shipped networks again; fails if one differs from its card by more than 0.1 points
	$(BIN)/python -m resnet_viz.training zoo-check --data $(DATA)

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) $(LOWEST) build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info artifacts

$(VENV)/.run: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.serve: $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[serve]"
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

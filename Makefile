# make demo   sets up and shows everything at work         make check  what CI runs
# make setup  the virtual environment and system libraries make test   the tests alone

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# What the tests of a file share is made by one worker, not by each; tests/conftest.py says which files are begun first.
# Two more workers than there are cores: tests of processes and time limits wait a good deal.
PARALLEL := -n $(shell $(PYTHON) -c 'import os; print(os.cpu_count() + 2)') --dist loadfile --no-loadscope-reorder --max-worker-restart 0

.PHONY: setup demo check lint types layers documents docs pictures test test-slow test-gpu test-bounds fuzz faults faults-full soak ladder-psb audit bench clean

setup: $(VENV)/.done

# Modules are compiled when they are first imported: most of these 8 GB never are, and all would take 40 s.
$(VENV)/.done: pyproject.toml constraints.txt scripts/system-libraries
	@scripts/system-libraries
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "shapecnn needs Python 3.11 or later; say which: make PYTHON=python3.12 setup" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --no-compile --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup
	$(BIN)/shapecnn demo demo

check: setup
	$(MAKE) -j2 lint types layers documents test

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy
	MYPYPATH=scripts/faults:benchmarks $(BIN)/mypy scripts/*.py scripts/faults/*.py benchmarks/*.py

layers: setup
	$(BIN)/lint-imports

documents: setup
	$(BIN)/python scripts/documents.py --check

# The documentation as a site in build/site, which needs no network to be read. A warning is an error.
docs: $(VENV)/.docs documents
	$(BIN)/python scripts/build_site.py build/site

$(VENV)/.docs: $(VENV)/.done
	$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

# Every picture of README.md and docs/, drawn by shapecnn. Chromium takes those of pages.
pictures: setup
	$(BIN)/python scripts/pictures.py

# Bytecode is kept, whatever the environment asks: some four hundred processes would each compile all modules anew.
test: export PYTHONDONTWRITEBYTECODE =
test: setup
	$(BIN)/pytest $(PARALLEL)

# What takes minutes: the whole ladder on the shapes of the demo.
test-slow: export PYTHONDONTWRITEBYTECODE =
test-slow: setup
	$(BIN)/pytest -m slow

# What needs a CUDA device: parity with the CPU, mixed precision, resume. Says why where it skips.
test-gpu: setup
	$(BIN)/pytest -m gpu -rs

# The numba kernels with every index checked: an empty cache, because cached code stays unchecked.
test-bounds: setup
	cache=$$(mktemp -d) && NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$$cache $(BIN)/pytest $(PARALLEL); status=$$?; rm -rf $$cache; exit $$status

# Kills, full disks, lost and damaged files, dead workers: docs/reliability.md. 5 kills of each command, then 100.
faults: setup
	$(BIN)/python scripts/faults --kills 5 --json results/faults.json

faults-full: setup
	$(BIN)/python scripts/faults --kills 100 --json results/faults-full.json

# 50,000 meshes drawn and filled, 20,000 indexed: neither memory nor open files may grow. About an hour on two cores.
soak: setup
	$(BIN)/python benchmarks/soak.py --json results/soak.json

# The lecture's ladder on the Princeton Shape Benchmark, from logistic regression to MVCNN; continues in ladder-psb/.
ladder-psb: setup
	$(BIN)/python benchmarks/ladder.py --work ladder-psb --json results/ladder.json

# Known vulnerabilities of all that is pinned; 3 where the database cannot be reached.
audit: setup
	$(PYTHON) -m venv $(VENV)/audit && $(VENV)/audit/bin/python -m pip install -qq --disable-pip-version-check pip-audit==2.10.1
	$(BIN)/python scripts/audit.py $(VENV)/audit/bin/pip-audit

# 100,000 generated inputs for the readers, the rasteriser and the voxelizer; what breaks one is kept in fuzz-findings/.
fuzz: setup
	$(BIN)/python scripts/fuzz.py --inputs 100000 --json results/fuzz.json

# The figures of the README, measured anew on this machine.
bench: setup
	for name in readers engines retrieval rendering voxels untrained_search commands; do \
		$(BIN)/python benchmarks/$$name.py --json results/$$name.json || exit 1; done
	for name in mvcnn-psb mvcnn-adapter mvcnn-modelnet10 voxresnet-modelnet10 shapenets-modelnet10; do \
		$(BIN)/python benchmarks/recognition.py --config $$name --json results/recognition/$$name.json || exit 1; done
	$(BIN)/python scripts/documents.py

clean:
	rm -rf $(VENV) demo build *.egg-info

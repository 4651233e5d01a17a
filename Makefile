# Two commands for a newcomer: `make tune` and `make test`. Each makes its own .venv with plain pip and constraints.txt and
# needs nothing but Python >= 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
OUT ?= dsabench-out
# The GPU extras, where there is an NVIDIA driver (for `make CUDA=cuda12 tune` an older one).
CUDA ?= cuda13
DRIVER := $(shell ldconfig -p 2>/dev/null | grep -q 'libcuda\.so\.1' && echo yes)
comma := ,
# Without a GPU too: tests and the static gate compile what it would run.
DEV := dev,tilelang$(if $(DRIVER),$(comma)$(CUDA))

.PHONY: install install-dev tune goals hopper gate test lint format clean
.DEFAULT_GOAL := tune

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "dsabench needs Python >= 3.11; set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/created pyproject.toml constraints.txt
	$(PIP) -e '.$(if $(DRIVER),[$(CUDA)$(comma)tilelang])'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) -e '.[$(DEV)]'
	$(PIP) --no-deps axe-playwright-python flashinfer-bench
	@touch $@

install: $(VENV)/installed  ## the package and what it needs, into .venv

install-dev: $(VENV)/installed-dev  ## and what tests and linters need

tune: install  ## tune every kernel on the device at hand; ends with the table of winners and the report's path
	$(BIN)/dsabench tune --out $(OUT) $(TUNE)

goals: install  ## the CPU implementations against their goals (a benchmark: takes eight minutes, wants a quiet machine)
	$(BIN)/dsabench tune --suite cpu-goals --effort full --budget 8m --no-install --out $(OUT)-goals
	$(BIN)/python benchmarks/cpu_goals.py $(OUT)-goals

HOPPER ?= --device cuda --minutes 25
hopper: install  ## verify, tune and compare on a Hopper GPU, journals packed under results/ (25 minutes)
	$(BIN)/python benchmarks/hopper.py --out $(OUT)-hopper $(HOPPER)

# Against the commit before, or against what GATE says. 1 is a regression; 3 and 4 are no verdict: said, not failed.
GATE ?= --baseline-ref $(shell git rev-parse --quiet --verify HEAD~1 || echo HEAD)
gate: install  ## machine code against gates/inspect.jsonl, and the CPU kernels against the commit before, interleaved
	$(BIN)/dsabench gate --static gates/inspect.jsonl --out $(OUT)-gate/static
	$(BIN)/dsabench gate $(GATE) --device cpu --out $(OUT)-gate/trees || { code=$$?; [ $$code -gt 2 ]; }

# Two files at a time, in the order of their names: in pytest-xdist's own, by number of tests, long files of few tests come last.
# Those that look at the machine's load or speed or hold a run to its budget go alone.
ALONE := $(addprefix tests/,bench/test_machine_state.py bench/test_roofline.py bench/test_spin.py bench/test_timing.py cli/test_tune.py)
test: install-dev  ## the whole test suite; TEST='tests/bench -k timing' narrows it
ifdef TEST
	$(BIN)/python -m pytest -q $(TEST)
else
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder $(ALONE:%=--ignore=%)
	$(BIN)/python -m pytest -q $(ALONE)
endif

lint: install-dev  ## ruff and mypy, as pre-commit runs them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache

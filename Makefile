# Every target sets up what it needs: `make demo` and `make test` work on a fresh machine.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# OpenVINO runs the models two to three times faster than ONNX Runtime on a CPU; a GPU has no use for it.
EXTRAS := $(shell command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1 && echo "" || echo ",openvino")

.PHONY: demo test quick check format setup clean

demo: $(VENV)/.installed-run
	$(BIN)/sidewalk demo

test: $(VENV)/.installed-dev
	sh tests/setup_system.sh
	$(BIN)/python -m pytest

quick: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "not slow"

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: $(VENV)/.installed-dev

# An environment that was left half made, or made by too old a Python, is made anew.
FIT = import sys; sys.exit("Sidewalk needs Python 3.11 or newer; give one: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)
define environment
	@{ $(BIN)/python -c '$(FIT)' && { $(BIN)/python -m pip --version || $(BIN)/python -m ensurepip; }; } >/dev/null 2>&1 || \
	{ test ! -e $(VENV) || test -e $(VENV)/pyvenv.cfg || { echo "$(VENV) is no environment of Python; give another: make VENV=..."; exit 2; }; \
	$(PYTHON) -c '$(FIT)' && $(PYTHON) -m venv --clear $(VENV); }
endef

$(VENV)/.installed-run: pyproject.toml
	$(environment)
	$(BIN)/python -m pip install --quiet --editable ".[eval$(EXTRAS)]"
	touch $@

$(VENV)/.installed-dev: pyproject.toml
	$(environment)
	$(BIN)/python -m pip install --quiet --editable ".[dev,synth$(EXTRAS)]"
	touch $@ $(VENV)/.installed-run

# Results and trained models stay.
clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

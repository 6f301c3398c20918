# Two commands are all a fresh machine needs: `make chat` and `make test`.
# Everything they make lives in .venv and build/; `make clean` removes both.

PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
SOURCES := pyproject.toml CMakeLists.txt $(shell find csrc -type f)
PYTHON_FOLDERS := src tests bench

.PHONY: chat test lint types unit api format clean

# The question reaches the program through the environment, as it was typed: its quotes, dollars and backticks are text.
chat: export MOONLET_QUESTION := $(value PROMPT)
chat: $(STAMP)
	@$(BIN)/moonlet chat $(if $(MODEL),--model "$(MODEL)") $(if $(value PROMPT),--prompt "$$MOONLET_QUESTION")

test: $(STAMP) lint types unit

# An editable install: the extension is rebuilt only when something it is made from is newer than the stamp.
$(STAMP): $(SOURCES)
	@command -v $(PYTHON) >/dev/null || { echo "moonlet needs Python 3.11: 'apt-get install python3.11 python3.11-venv g++', or PYTHON=/path/to/python3"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=24" "scikit-build-core>=0.10" "nanobind>=2.4" "cmake>=3.26" "ninja>=1.11"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable ".[dev]"
	@touch $@

lint: $(STAMP)
	$(BIN)/ruff check $(PYTHON_FOLDERS)
	$(BIN)/ruff format --check $(PYTHON_FOLDERS)
	find csrc -name '*.cpp' -o -name '*.h' | xargs $(BIN)/clang-format --dry-run --Werror

types: $(STAMP)
	$(BIN)/mypy

unit: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Some minutes: 2,000 requests made from /openapi.json.
api: $(STAMP)
	MOONLET_API_CASES=2000 $(BIN)/python -m pytest tests/server/test_openapi.py

format: $(STAMP)
	$(BIN)/ruff check --fix $(PYTHON_FOLDERS)
	$(BIN)/ruff format $(PYTHON_FOLDERS)
	find csrc -name '*.cpp' -o -name '*.h' | xargs $(BIN)/clang-format -i

clean:
	rm -rf $(VENV) build src/moonlet/_kernels*.so

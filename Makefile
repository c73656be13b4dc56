# Two commands on a fresh machine with Python >= 3.11: `make quickstart` (or `make quickstart MODALITY=points`) and `make test`.
# `make test-newest` runs the tests on the newest Python and packages instead of the pinned ones.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

# The first run of each modality: its config, then its directory.
MODALITY ?= images
FIRST_images := configs/mnist5k.py:quickstart runs/quickstart
FIRST_points := configs/mnist5k_points.py runs/quickstart_points
FIRST_audio := configs/notes.py runs/quickstart_audio
FIRST_audio_video := configs/notes_and_digits.py runs/quickstart_audio_video
FIRST := $(FIRST_$(MODALITY))
ifeq ($(FIRST),)
$(error MODALITY=$(MODALITY): expected images, points, audio or audio_video)
endif

# The path of an interpreter, or a version that uv finds or downloads; it does not look where pyenv has its own.
NEWEST_PYTHON ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.13*/bin/python) 3.13)
NEWEST := .venv-newest
EXTRAS := --extra examples --extra audio --extra points --extra slurm --extra search --extra report --extra dev

.PHONY: quickstart test test-newest lint check lock

quickstart: $(READY)
	$(BIN)/python -m experiments.train --config $(word 1,$(FIRST)) --workdir $(word 2,$(FIRST))

# Bytecode may be written: the tests start hundreds of processes, each of which would otherwise compile what it imports.
test: $(READY)
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest

test-newest: $(READY)
	$(BIN)/python -m uv venv --quiet --clear --seed --python $(NEWEST_PYTHON) $(NEWEST)
	$(BIN)/python -m uv pip install --quiet --upgrade --python $(NEWEST)/bin/python -r setup.py $(EXTRAS)
	PYTHONDONTWRITEBYTECODE= $(NEWEST)/bin/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check: lint test

# Exact versions with hashes; uv installs them in seconds, pip does where uv cannot be had.
$(READY): requirements.lock
	$(PYTHON) -c 'import sys; sys.exit("Python >= 3.11 is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv || true
	$(BIN)/python -m uv pip sync --quiet --require-hashes --python $(BIN)/python requirements.lock \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	touch $@

# Made again when setup.py changes.
lock:
	$(BIN)/python -m uv pip compile setup.py $(EXTRAS) --universal --python-version 3.11 \
		--fork-strategy fewest --generate-hashes --no-header --quiet --output-file requirements.lock

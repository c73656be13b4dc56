# Two commands on a fresh machine with Python >= 3.11: `make quickstart` (or `make quickstart MODALITY=points`) and `make test`.
# `make test-newest` runs the tests on the newest Python and packages instead of the pinned ones. `make docs` makes the site.
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

# What makes the site has an environment of its own, so that the first run and the tests need not wait for it.
SITE := .venv-docs
SITE_READY := $(SITE)/ready

.PHONY: quickstart test test-newest docs lint check lock

quickstart: $(READY)
	$(BIN)/python -m experiments.train --config $(word 1,$(FIRST)) --workdir $(word 2,$(FIRST))

# Bytecode may be written: the tests start hundreds of processes, each of which would otherwise compile what it imports.
test: $(READY)
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest

test-newest: $(READY)
	$(BIN)/python -m uv venv --quiet --clear --seed --python $(NEWEST_PYTHON) $(NEWEST)
	$(BIN)/python -m uv pip install --quiet --upgrade --python $(NEWEST)/bin/python -r setup.py $(EXTRAS)
	PYTHONDONTWRITEBYTECODE= $(NEWEST)/bin/python -m pytest

# The site, docs/_build/html/index.html; the tutorials are executed, which takes a few minutes. A warning is an error.
docs: $(SITE_READY)
	$(SITE)/bin/python -m sphinx --fail-on-warning --keep-going --quiet --builder html docs docs/_build/html

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check: lint test

# Exact versions with hashes; uv installs them in seconds, pip does where uv cannot be had.
$(READY): requirements.lock
$(SITE_READY): requirements-docs.lock
$(READY) $(SITE_READY):
	$(PYTHON) -c 'import sys; sys.exit("Python >= 3.11 is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check uv || true
	$(@D)/bin/python -m uv pip sync --quiet --compile-bytecode --require-hashes --python $(@D)/bin/python $< \
		|| $(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	touch $@

# Made again when setup.py changes. The site's versions are those of the tests, and more packages.
COMPILE := uv pip compile setup.py --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-header --quiet
lock:
	$(BIN)/python -m $(COMPILE) $(EXTRAS) --output-file requirements.lock
	$(BIN)/python -m $(COMPILE) --extra examples --extra audio --extra points --extra report --extra docs --constraint requirements.lock \
		--output-file requirements-docs.lock

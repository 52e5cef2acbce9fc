# make demo    restore the sample clip (needs Python 3.11 and make only)
# make test    install what the tests need, lint, run every test
# make lint    ruff and mypy
# make bench   speed, memory, start-up and size on this machine (see bench/README.md)
# make clean   remove the environment and what the targets left

PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Folder of the peers' published networks for `make bench`, see bench/peers.py.
PEERS ?=

BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check
PIP := $(INSTALL) --quiet

.PHONY: demo test lint bench packages clean

demo: .venv/base.stamp
	@$(BIN)/python samples/demo.py

test: packages lint
	@$(BIN)/python -m pytest

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict

bench: .venv/dev.stamp .venv/bench.stamp
	$(BIN)/python bench/startup.py
	$(BIN)/python bench/network.py
	$(BIN)/python bench/speed.py $(if $(PEERS),--peers $(PEERS))
	$(BIN)/python bench/memory.py

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "subpixel needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv

.venv/base.stamp: pyproject.toml | .venv/bin/python
	$(PIP) --editable .
	@touch $@

# torch first and alone, so that its version is settled before anything that depends on it.
.venv/dev.stamp: pyproject.toml | .venv/bin/python
	$(PIP) torch==2.13.0
	$(PIP) --editable '.[dev,train,openvino]'
	@touch $@ .venv/base.stamp

.venv/bench.stamp: bench/requirements.txt .venv/dev.stamp
	$(PIP) -r bench/requirements.txt
	@touch $@

# The tests compare with the ffmpeg program and look at reports in Chromium.
packages:
	@missing=""; \
	command -v ffmpeg >/dev/null || missing="$$missing ffmpeg"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	[ -z "$$missing" ] || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
	  else \
	    echo "The tests need these programs:$$missing. On Debian: sudo apt-get install$$missing" >&2; exit 1; \
	  fi; }

clean:
	rm -rf .venv demo bench/results build dist

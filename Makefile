# make demo    restore the sample clip (needs Python 3.11 and make only)
# make test    install what the tests need, lint, run every test
# make lint    ruff and mypy
# make megengine   the environment of subpixel.learn.megengine (2 GB; needs CPython 3.10 on x86-64)
# make bench   speed, memory, start-up and size on this machine (see bench/README.md)
# make clean   remove the environment and what the targets left

PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Folder of the peers' published networks for `make bench`, see bench/peers.py.
PEERS ?=

# Tests on every core, those of a file one after the other; but those of the site share a database.
SPREAD := --numprocesses auto --dist loadfile

# The first CPython 3.10 that can make an environment: MegEngine has no wheels for a later one, nor for other processors.
PYTHON310 ?= $(shell for p in python3.10 ~/.pyenv/versions/3.10.*/bin/python3.10 \
  ~/.local/share/uv/python/cpython-3.10.*/bin/python3.10 /opt/python/cp310-cp310/bin/python3.10; do \
  $$p -c 'import ensurepip, platform, sys; sys.exit(sys.version_info[:2] != (3, 10) or platform.machine() not in \
  ("x86_64", "AMD64"))' 2>/dev/null && echo $$p && break; done)

BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check
PIP := $(INSTALL) --quiet

.PHONY: demo test lint bench megengine packages clean

demo: .venv/base.stamp
	@$(BIN)/python samples/demo.py

test: packages lint
	@if [ -n "$(PYTHON310)" ]; then $(MAKE) --no-print-directory megengine; fi
	@$(BIN)/python -m pytest $(SPREAD) --ignore tests/site
	@$(BIN)/python -m pytest tests/site
	@$(BIN)/python tests/site/postgres.py $(BIN)/python -m pytest tests/site

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
	$(PIP) --editable '.[dev,train,openvino,zoo,cluster,multiframe,challenge,site]'
	@touch $@ .venv/base.stamp

.venv/bench.stamp: bench/requirements.txt .venv/dev.stamp
	$(PIP) -r bench/requirements.txt
	@touch $@

megengine: .venv-mge/stamp

# OpenCV once more, without windows: the build that MegEngine asks for needs the libraries of a desktop.
.venv-mge/stamp: src/subpixel/learn/megengine/requirements.txt
	@[ -n "$(PYTHON310)" ] || { echo "MegEngine needs CPython 3.10 on x86-64, and none was found:" \
	  "make megengine PYTHON310=/path/to/python3.10" >&2; exit 1; }
	$(PYTHON310) -m venv --clear .venv-mge
	.venv-mge/bin/python -m pip install --disable-pip-version-check --quiet -r $<
	.venv-mge/bin/python -m pip install --disable-pip-version-check --quiet --no-deps 'opencv-python-headless>=4.10,<4.12'
	@echo "$(CURDIR)/src" > .venv-mge/lib/python3.10/site-packages/subpixel.pth
	@touch $@

# The tests compare with the ffmpeg program, look at pages in Chromium, and run the site on PostgreSQL as well.
packages:
	@missing=""; \
	command -v ffmpeg >/dev/null || missing="$$missing ffmpeg"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || missing="$$missing postgresql"; \
	[ -z "$$missing" ] || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
	  else \
	    echo "The tests need these programs:$$missing. On Debian: sudo apt-get install$$missing" >&2; exit 1; \
	  fi; }

clean:
	rm -rf .venv .venv-mge demo bench/results build dist

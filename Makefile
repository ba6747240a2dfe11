# Two commands for a newcomer: `make demo` and `make test`. Each prepares what it needs.
PYTHON ?= python3
ARGS ?=

# What Debian calls the parts that are not Python. The demo: a voice, softphones, a way to unpack Asterisk.
DEMO_PACKAGES = python3-venv espeak-ng baresip-core mmdebstrap
TEST_PACKAGES = $(DEMO_PACKAGES) sip-tester postgresql buildah chromium libatomic1

.DEFAULT_GOAL := help
.PHONY: help setup setup-test demo test check lock clean

help:
	@echo "make demo    run everything on this machine and play one caller through it"
	@echo "make test    run every test (real Asterisk, real phones)"
	@echo "make check   ruff, mypy and the dialplan lint"
	@echo "make setup   prepare .venv and the private Asterisk only"

# The system packages come first and all at once, so that who may not install them reads one line, once.
setup:
	@sh .ci/system-packages $(DEMO_PACKAGES)
	@$(MAKE) --no-print-directory .venv/.ready
	@.venv/bin/fourthring pbx build

setup-test:
	@sh .ci/system-packages $(TEST_PACKAGES)
	@$(MAKE) --no-print-directory .venv/.ready
	@.venv/bin/fourthring pbx build

.venv/.ready: requirements.lock pyproject.toml
	@sh .ci/system-packages python3-venv
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Name another with make PYTHON=…")'
	@$(PYTHON) -m venv .venv
	@echo "Installing Python packages into .venv …"
	@.venv/bin/pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes --requirement requirements.lock
	@.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup
	@.venv/bin/fourthring demo $(ARGS)

# `make test ARGS="tests/core -x"`: those tests alone, one after the other.
test: setup-test
	@$(if $(strip $(ARGS)),.venv/bin/python -m pytest $(ARGS),sh .ci/whole-run)

check: .venv/.ready
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/fourthring check --offline

# Pins every package with its hashes; names no registry.
lock: .venv/.ready
	@.venv/bin/pip install --quiet pip-tools
	@.venv/bin/pip-compile --quiet --extra dev --extra postgresql --generate-hashes --no-emit-index-url \
	  --no-emit-trusted-host --no-emit-find-links --allow-unsafe --strip-extras --no-header \
	  --output-file requirements.lock pyproject.toml

clean:
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis artefacts

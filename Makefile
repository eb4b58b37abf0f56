# Voltroot in a few words; `make` prints them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCK := $(BIN)/uv pip compile pyproject.toml --python-version 3.11 --universal --generate-hashes \
	--no-header --no-annotate --quiet $(if $(UPGRADE),--upgrade)

# The programs that judge our certificates in the tests, each with the Debian package that brings it.
JUDGES := openssl:openssl certtool:gnutls-bin strace:strace keytool:default-jre-headless \
	pg_lsclusters:postgresql cfssl:golang-cfssl nginx:nginx-light

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup run check test soak bench lock judges

help: ## print these words
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.developing ## make .venv with all that running, checking and testing need

run: $(VENV)/.running ## start the backend on 127.0.0.1:15118; its PKI lives in ./data
	@$(BIN)/voltroot serve --data data

check: $(VENV)/.developing ## style, types, import contracts and the fast tests: under a minute
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -q -n auto -m "not slow and not soak"

test: judges $(VENV)/.developing ## all tests but the long ones
	$(BIN)/pytest -q -n auto -m "not soak"

soak: judges $(VENV)/.developing ## the long tests: minutes each
	$(BIN)/pytest -q -m soak

bench: $(VENV)/.developing ## how fast it is on this machine: four times 50 seconds; more by 'voltroot bench'
	@for what in issue ocsp revoke start; do $(BIN)/voltroot bench $$what --quick || exit; done

lock: $(VENV)/.developing ## write both lock files anew from pyproject.toml; UPGRADE=1 takes newer versions
	$(LOCK) --extra build -o requirements.lock
	$(LOCK) --extra build --extra dev --extra postgresql -c requirements.lock -o requirements-dev.lock
	@! grep -n '://' requirements.lock requirements-dev.lock || { echo "a lock file names a host" >&2; exit 1; }

judges:
	@missing=; for judge in $(JUDGES); do \
		command -v "$${judge%%:*}" >/dev/null || missing="$$missing $${judge#*:}"; \
	done; \
	[ -z "$$missing" ] || { \
		echo "The tests need programs that are not here. As root:" >&2; \
		echo "  apt-get install -y --no-install-recommends$$missing" >&2; exit 1; }

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Voltroot needs Python 3.11 or newer; $(PYTHON) is: $$($(PYTHON) --version 2>&1)." >&2; \
		echo "Name another one: make PYTHON=/usr/bin/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) cannot make environments. As root: apt-get install -y python3-venv" >&2; exit 1; }
	@echo "Making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.running: pyproject.toml requirements.lock | $(BIN)/pip
	@echo "Installing Voltroot and what it runs on into $(VENV): half a minute the first time"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.developing: $(VENV)/.running requirements-dev.lock
	@echo "Installing what checks and tests need into $(VENV): a minute the first time"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

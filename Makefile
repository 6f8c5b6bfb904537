# Everything one does with a checkout. Needed: python3 >= 3.11, make, a Python package index. `make` alone lists it.

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
PROCESSES ?= 2

VENV := .venv
BIN := $(VENV)/bin
# Not compiled at installation: that takes longer than anything else here, for modules most of which are never imported.
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
INSTALL := $(PIP) install --no-compile
# But kept once compiled: tests start hundreds of processes, and each would compile Django anew, for seconds of a core.
unexport PYTHONDONTWRITEBYTECODE
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
NODE_PACKAGES := node_modules/.installed
TSC := node_modules/.bin/tsc

# A variable that the caller exports for their own site must not turn `check` into a check of that site.
RANDOM_KEY = $$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))')
PRODUCTION = DEBUG=0 SECRET_KEY="$(RANDOM_KEY)" JWT_SIGNING_KEY="$(RANDOM_KEY)" ALLOWED_HOSTS=usher.example TRUSTED_PROXIES=unix \
	DATABASE_URL=postgresql://usher@127.0.0.1/usher REDIS_URL=redis://127.0.0.1:6379/0

.DEFAULT_GOAL := help
.PHONY: help run run-scaled test check clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# In development Django answers to loopback names only. Where others are to reach the site it needs the names they call
# it by: the one it is served on or, on all addresses (0.0.0.0, [::]), this machine's. Not "*": then any page could be
# pointed here by its DNS and read what it likes. Who names ALLOWED_HOSTS, in the environment or in .env, is believed.
LOOPBACK := localhost 127.0.0.1 [::1]
ALL_ADDRESSES := 0.0.0.0 [::]
OWN_NAMES = $(shell uname -n; hostname -I 2>/dev/null | tr ' ' '\n' | grep -v :)
EMPTY :=
COMMA := ,
NAMES = $(LOOPBACK) $(HOST) $(if $(filter $(ALL_ADDRESSES),$(HOST)),$(OWN_NAMES))
ifeq ($(filter $(LOOPBACK),$(HOST))$(shell grep -s '^ *ALLOWED_HOSTS *=' .env),)
run run-scaled: export ALLOWED_HOSTS ?= $(subst $(EMPTY) $(EMPTY),$(COMMA),$(strip $(NAMES)))
endif

run: $(RUNTIME) ## serve a demo site on http://127.0.0.1:8000 (HOST= and PORT= change it); Ctrl-C ends it
	@$(BIN)/python manage.py migrate --verbosity 0
	@$(BIN)/python manage.py demo --host "$(HOST)"
	@echo "Usher is at http://$(HOST):$(PORT)/ - Ctrl-C ends it."
# On a terminal the server is a job of its own, so that Ctrl-C ends the server and not make, which would call that an
# error. Elsewhere it takes the shell's place, so that a signal for make's child reaches it.
	@serve="$(BIN)/python manage.py runserver --noreload $(HOST):$(PORT)"; \
		if [ -t 0 ]; then set -m; $$serve; else exec $$serve; fi

run-scaled: $(DEV) ## the same on PostgreSQL + Redis, in PROCESSES=2 processes, behind nginx where that is installed
	@serve="$(BIN)/python -m deploy.local --host $(HOST) --port $(PORT) --processes $(PROCESSES)"; \
		if [ -t 0 ]; then set -m; $$serve; else exec $$serve; fi

# More workers than cores: much of what the tests do is wait. In the order of tests/conftest.py, slow files first.
IN_PARALLEL := -n 4 --dist loadfile --no-loadscope-reorder

test: $(DEV) $(NODE_PACKAGES) ## all tests: some of them twice, on PostgreSQL + Redis and on the embedded default
	@.ci/system-packages
	@$(BIN)/python -m tests.support.stack -- $(BIN)/python -m pytest -q $(IN_PARALLEL) -m everywhere
	@$(BIN)/python -m pytest $(IN_PARALLEL)

.PHONY: messages
messages: $(DEV) ## bring the catalogues of words up to date, and name what is to be translated (docs/languages.md)
	@$(BIN)/python -m tests.support.messages

.PHONY: pictures
pictures: $(DEV) ## take the pictures in docs/images anew, in Chromium
	@$(BIN)/python -m tests.support.pictures

.PHONY: soak
soak: $(DEV) ## faults at full length, held to the promised figures: about an hour on a machine with nothing else to do
	@SOAK=1 $(BIN)/python -m pytest -s tests/faults tests/guarantees/test_numbers.py

.PHONY: bench
bench: $(DEV) $(NODE_PACKAGES) ## measure it beside plain Channels and socket.io, a quarter of an hour (QUICK=1: some minutes)
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

.PHONY: package
package: $(DEV) $(NODE_PACKAGES) ## the wheel for other Django projects and the client for npm, into dist/
	@rm -rf dist
	@$(BIN)/python -m pip --quiet --disable-pip-version-check wheel --no-deps --no-build-isolation --wheel-dir=dist .
	@if [ -x $(TSC) ]; then npm/pack dist; else echo "LEFT OUT: the package for npm. $(NO_NPM)" >&2; fi
	@ls dist

check: $(DEV) $(NODE_PACKAGES) ## ruff, mypy, tsc, house rules, catalogues, migrations, deployment checks
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@if [ -x $(TSC) ]; then $(TSC) -p . && $(TSC) -p tests/js; else echo "LEFT OUT: tsc. $(NO_NPM)" >&2; fi
	@$(BIN)/python -m pytest -q tests/test_house.py tests/languages/test_catalogues.py
	@DATABASE_URL=sqlite://:memory: $(BIN)/python manage.py makemigrations --check --dry-run
	@$(PRODUCTION) $(BIN)/python manage.py check --deploy --fail-level WARNING

clean: ## remove the virtual environment, caches and the demo database
	rm -rf $(VENV) node_modules dist .pytest_cache .mypy_cache .ruff_cache .hypothesis staticfiles db.sqlite3 db.sqlite3-wal db.sqlite3-shm
	find . -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Usher needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Name another: make PYTHON=…" >&2; \
		exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		rm -rf $(VENV); \
		echo "Python has no venv module here; on Debian: apt install python3-venv" >&2; \
		exit 1; }

$(RUNTIME): requirements.txt | $(BIN)/python
	@echo "Installing requirements.txt …"
	@$(INSTALL) -r requirements.txt
	@touch $@

$(DEV): requirements-dev.txt $(RUNTIME)
	@echo "Installing requirements-dev.txt …"
	@$(INSTALL) -r requirements-dev.txt
	@touch $@

# The site itself needs nothing of this. Without npm the JavaScript goes unchecked, which is said, and fails CI.
NO_NPM := The JavaScript needs Node.js 20 or newer with npm; on Debian: apt install nodejs npm

$(NODE_PACKAGES): package.json package-lock.json
	@if command -v npm >/dev/null; then \
		echo "Installing package-lock.json …"; \
		npm ci --loglevel=error --no-audit --no-fund && touch $@; \
	else \
		echo "LEFT OUT: package-lock.json. $(NO_NPM)" >&2; \
		[ "$(CI)" != true ]; \
	fi

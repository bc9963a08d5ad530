# Everything a developer does. Needs Python 3.11 or newer with venv, and make; installs the rest into .venv. No root needed.
# `make` alone lists the targets.

# The first Python that is new enough; name another with `make setup PYTHON=/path/to/python3.12`.
PYTHON ?= $(or $(strip $(firstword $(foreach name,python3 python3.13 python3.12 python3.11 python3.14 python,\
	$(shell $(name) -c 'import sys, venv, ensurepip; sys.version_info >= (3, 11) and print("$(name)")' 2>/dev/null)))),python3)

VENV := .venv
BIN := $(VENV)/bin
GEN_BIN := .venv-gen/bin
DOCS_BIN := .venv-docs/bin
DEPLOY_BIN := .venv-deploy/bin
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --no-input
# Folders with programs from npm: pyright, the OAuth servers that tests mint from, and the example for Node.
NODE_LOCKS := $(wildcard tools/node/package-lock.json tests/*/package-lock.json tests/*/*/package-lock.json examples/*/package-lock.json)
NODE_STAMPS := $(NODE_LOCKS:package-lock.json=node_modules/.installed)

# Six at a time, even on two processors: these tests mostly wait. One by one, so that the slow ones are shared out.
CONFORMANCE = $(BIN)/python -m pytest -n 6 --dist load --maxschedchunk 1 conformance

# What `make setup` installs: `dev` is everything, `run` only what `mintonced dev` needs. Same versions: either order works.
FOR ?= dev
TESTS ?=
ARGS ?=
ONLY ?=

# Variables of the shell that would lead pip or Python elsewhere.
unexport PYTHONPATH PYTHONHOME PYTHONSAFEPATH PIP_USER PIP_TARGET PIP_PREFIX

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run test test-all clients conformance mutants lint lint-deploy deploy-files format gen bench alerts chaos attack soak simulate interop house audit lock proto-baseline readme docs man up down clean screenshots

help: ## List the targets
	@echo "Usage: make TARGET"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "  %-16s %s\n", $$1, $$2 }'

setup: $(VENV)/.installed-$(FOR) $(if $(filter dev,$(FOR)),$(NODE_STAMPS)) ## Install into .venv; does nothing if everything is installed (FOR=run: only what `make run` needs)
	@$(if $(and $(filter setup,$(MAKECMDGOALS)),$(filter dev,$(FOR))),echo "Ready. Next: make run or make test",:)

run: ## Start everything on this machine: an embedded Valkey, a practice issuer, the server
	@$(MAKE) --no-print-directory setup FOR=run
	@exec $(BIN)/mintonced dev $(ARGS)

# The clients come last: each language whose toolchain is here, and a line for each that is not.
test: setup ## Run the fast tests, two at a time, and those of the clients: five minutes (TESTS=tests/core: all tests there, and no clients; ARGS="-k name")
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(if $(TESTS),,-m "not slow") $(TESTS) $(ARGS)
	@$(if $(TESTS)$(ARGS),:,$(BIN)/python tools/clients.py test)

# Python's own tests come last, so that their closing line does.
test-all: setup ## Run every test, as CI does, also the clients and conformance for each language whose toolchain is here: twenty minutes
	@$(BIN)/python tools/clients.py test testee; clients=$$?; \
	$(CONFORMANCE); conformance=$$?; \
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS) && exit $$((clients + conformance))

clients: setup ## Check, lint and test the clients in other languages whose toolchain is here (ARGS="lint --only go rust")
	@$(BIN)/python tools/clients.py $(ARGS)

conformance: setup ## Hold the clients of all languages to one specification: five minutes (ARGS="--testee go", ARGS='-m "not slow"'); writes the table
	@$(BIN)/python tools/clients.py testee
	@$(CONFORMANCE) --conformance-results .cache/conformance.json $(ARGS)
	@$(if $(ARGS),:,$(BIN)/python -m conformance.table --write .cache/conformance.json)

mutants: setup ## Plant faults in the product and check that a test fails for each; half an hour (ARGS="lease" runs a part)
	@PYTHONPATH=tests:verification $(BIN)/python -m mutants.cli $(ARGS)

lint: setup $(GEN_BIN)/.installed ## Check style, types, imports, protos, sizes, documents (ONLY="ruff mypy")
	@$(BIN)/python tools/lint.py $(ONLY)

lint-deploy: setup $(DEPLOY_BIN)/.installed ## Check deploy/: the Helm chart for three Kubernetes versions, rules, dashboards, the unit (ONLY="chart schema")
	@PYTHONPATH=tools PYTHONSAFEPATH=1 $(BIN)/python -m deploy.lint $(ONLY)

deploy-files: setup $(DEPLOY_BIN)/.installed ## Renew what the chart has from elsewhere: rules, dashboards, its schema, the table of its README
	@PYTHONPATH=tools PYTHONSAFEPATH=1 $(BIN)/python -m deploy.copies --write
	@PYTHONPATH=tools PYTHONSAFEPATH=1 $(BIN)/python -m deploy.values --write

format: setup ## Format the code, and fix what ruff can fix
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

gen: setup $(GEN_BIN)/.installed ## Generate client/python/mintonce/v1 from protos/, its blocking half from the asyncio half, and the follower vectors
	@$(GEN_BIN)/python tools/generate.py --write
	@$(BIN)/python tools/unasync.py --write
	@$(BIN)/python tools/follower_vectors.py --write

bench: setup ## Measure a server, guarded and in clear, against grpcio alone; five minutes (ARGS="--only clients": the clients of all languages)
	@PYTHONPATH=tests $(BIN)/python -m bench $(ARGS)

alerts: setup ## Break a real fleet before a real Prometheus, and show which alerts fire; five minutes
	@PYTHONPATH=tests:verification:tools $(BIN)/python -m alerts

chaos: setup ## Inject faults into a real fleet, and report; five minutes (ARGS="--help" says more)
	@PYTHONPATH=tests:verification $(BIN)/python -m chaos $(ARGS)

attack: setup ## Fuzz and flood a real server, and report; five minutes (ARGS="--help" says more)
	@PYTHONPATH=tests:verification $(BIN)/python -m attack $(ARGS)

simulate: setup ## Run fleets in a deterministic simulator, seed after seed; one minute (ARGS="--minutes 5"; ARGS="--help" says more)
	@PYTHONPATH=tests:verification $(BIN)/python -m simulate $(ARGS)

soak: setup ## Run a fleet through overlapping faults for a long time, and report; ten minutes (ARGS="--help" says more)
	@PYTHONPATH=tests:verification $(BIN)/python -m soak $(ARGS)

interop: setup ## Run Mintonce with OAuth servers, programs, OAuth libraries and stores of other projects; fetches them, writes the table (ARGS="--only issuers keycloak")
	@PYTHONPATH=tests:verification $(BIN)/python -m interop $(ARGS)

house: setup ## Print the size and shape of the code, and how much of it a call passes (ARGS="--words", ARGS="--server PATH")
	@$(BIN)/python tools/house.py $(ARGS)

audit: setup ## Look up known vulnerabilities of what we install; needs the network (exit code 3: no database answered)
	@$(BIN)/python tools/audit.py --online

lock: $(VENV)/.created ## Pin the dependencies after a change of pyproject.toml (UPGRADE=1: to the newest versions)
	@PYTHON=$(BIN)/python UPGRADE=$(UPGRADE) tools/lock.sh

proto-baseline: setup ## Record protos/ as the released API; see CONTRIBUTING.md for when
	@$(BIN)/buf build --output protos/baseline.binpb

readme: setup ## Renew docs/reference and the blocks of `--help` in the documents
	@$(BIN)/python tools/readme.py --write

screenshots: setup ## Make the pictures of the status page in docs/ again, by the test that opens it in a browser; two minutes
	@MINTONCE_SCREENSHOTS=$(CURDIR)/docs/operating/images $(BIN)/python -m pytest -q tests/web/test_in_a_browser.py

docs: $(DOCS_BIN)/.installed ## Make a site of docs/ in site/, with every link checked (ARGS="serve": show it while you write)
	@$(DOCS_BIN)/zensical $(or $(ARGS),build --strict --clean)
	@$(if $(ARGS),:,echo "The site is in site/: open site/index.html through a web server, or use make docs ARGS=serve")

man: setup ## Write manual pages of mintonce and mintonced into dist/man (read one: man dist/man/mintonce.1)
	@mkdir -p dist/man
	@$(BIN)/argparse-manpage --module mintonce.cli._parser --function parser --prog mintonce --project-name Mintonce --manual-title Mintonce \
		--description "OAuth 2.0 access tokens that a fleet shares" --output dist/man/mintonce.1
	@$(BIN)/argparse-manpage --module mintonce_server.cli.main --function _parser --prog mintonced --project-name Mintonce --manual-title Mintonce \
		--description "mint OAuth 2.0 access tokens once for a fleet" --output dist/man/mintonced.1

up: .mintonce/compose-client-secret .mintonce/compose-sealing-keys ## Start docker-compose.yml with a practice issuer (COMPOSE=podman-compose)
	@$(COMPOSE_ENV) $(COMPOSE) --profile practice up -d --build
	@echo
	@echo "Two replicas are running, at 127.0.0.1:50051 and 127.0.0.1:50052. Next:"
	@echo
	@echo "  $(COMPOSE) exec mintonce-1 mintonce get default https://api.example.com/ --json     # mints"
	@echo "  $(COMPOSE) exec mintonce-2 mintonce get default https://api.example.com/ --json     # the other replica: the same token"
	@echo
	@echo "The practice issuer counts its POSTs: http://127.0.0.1:8080. Your own OAuth domain: docker-compose.yml, at its top."
	@echo "make down ends it and deletes its data."

down: ## Stop what `make up` started, and delete its data
	@$(COMPOSE) --profile practice down -v

clean: ## Remove everything that was installed, generated or cached here
	rm -rf .venv .venv-gen .venv-docs .venv-deploy site .cache .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache dist
	rm -rf $(dir $(NODE_STAMPS)) verification/interop/issuers/node/node_modules
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# Only the container may read this file. The container runs as the file's owner, or, where that is root, as the
# image's own user; the file is then readable by all.
COMPOSE ?= docker compose
COMPOSE_ENV = $(if $(filter 0,$(shell id -u)),,MINTONCE_UID=$(shell id -u))

.mintonce/compose-client-secret:
	@mkdir -p -m 700 .mintonce
	@umask 077 && head -c 24 /dev/urandom | base64 | tr -d '\n' > $@
	@[ "$$(id -u)" != 0 ] || chmod 444 $@

# As `mintonced keygen` writes it, without Python: a machine that only starts containers may have none.
.mintonce/compose-sealing-keys:
	@mkdir -p -m 700 .mintonce
	@umask 077 && printf 'index_key = "%s"\n\n[[sealing_keys]]\nkey = "%s"\n' \
		"$$(head -c 32 /dev/urandom | base64)" "$$(head -c 32 /dev/urandom | base64)" > $@
	@[ "$$(id -u)" != 0 ] || chmod 444 $@

# --- Installation. A stamp is written last, so an interrupted step runs again.

$(VENV)/.created:
	@$(call create-venv,$(VENV))

.venv-gen/.created:
	@$(call create-venv,.venv-gen)

$(VENV)/.pinned-%: requirements/%.txt $(VENV)/.created
	@echo "Installing requirements/$*.txt into $(VENV) (the first time this takes a minute)"
	@$(BIN)/python $(PIP_INSTALL) --require-hashes -r $<
	@touch $@

# Editable: the code that runs is the code in server/ and client/.
$(VENV)/.installed-%: $(VENV)/.pinned-% pyproject.toml
	@$(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

.venv-docs/.created:
	@$(call create-venv,.venv-docs)

$(DOCS_BIN)/.installed: requirements/docs.txt .venv-docs/.created
	@echo "Installing the site generator into .venv-docs"
	@$(DOCS_BIN)/python $(PIP_INSTALL) --require-hashes -r $<
	@touch $@

.venv-deploy/.created:
	@$(call create-venv,.venv-deploy)

$(DEPLOY_BIN)/.installed: requirements/deploy.txt .venv-deploy/.created
	@echo "Installing what checks deploy/ into .venv-deploy"
	@$(DEPLOY_BIN)/python $(PIP_INSTALL) --require-hashes -r $<
	@touch $@

$(GEN_BIN)/.installed: requirements/gen.txt .venv-gen/.created
	@echo "Installing the code generator and the checker of imports into .venv-gen"
	@$(GEN_BIN)/python $(PIP_INSTALL) --require-hashes -r $<
	@touch $@

%/node_modules/.installed: %/package-lock.json $(VENV)/.pinned-dev
	@echo "Installing $*/package-lock.json"
	@$(BIN)/python tools/node.py npm ci --prefix $* --silent --ignore-scripts --no-audit --no-fund
	@touch $@

.SECONDARY:

# A working environment is kept; anything else in its place is replaced.
define create-venv
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "Mintonce needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | head -n 1)." >&2; \
	echo "Name another one: make setup PYTHON=/path/to/python3.12" >&2; exit 1; }; \
$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	echo "'$(PYTHON)' comes without venv. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; \
$(1)/bin/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "Making $(1) with $$($(PYTHON) --version)"; $(PYTHON) -m venv --clear $(1); } && touch $@
endef

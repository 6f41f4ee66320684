# The menu: `make` prints it.
PYTHON ?= python3
SITE ?= site
Q ?= How does Askbook make sure that a citation is true?
BIN := .venv/bin
RUNTIME := .venv/.runtime
DEV := .venv/.dev

.DEFAULT_GOAL := help
.PHONY: help setup demo test ask index serve check format lock e2e bench eval faults contract widget plugin fixture site clean

help: ## Print this menu
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(RUNTIME) ## Install Askbook into .venv

demo: setup ## Install, index site/, answer a question, serve http://127.0.0.1:8000
	$(BIN)/askbook index $(SITE)
	@printf '\n> %s\n\n' "$(Q)"
	$(BIN)/askbook ask "$(Q)"
	$(BIN)/askbook serve

test: $(DEV) ## Run the tests
	cd backend && ../$(BIN)/python -m pytest

ask: setup ## Ask a question: make ask Q="..."
	$(BIN)/askbook ask "$(Q)"

index: setup ## Index a site: make index SITE=path/to/site
	$(BIN)/askbook index $(SITE)

serve: setup ## Serve the API and a page to try it
	$(BIN)/askbook serve

check: $(DEV) ## Formatting, lint, types, imports, and that locks and files are in order
	cd backend && ../$(BIN)/ruff format --check .
	cd backend && ../$(BIN)/ruff check .
	cd backend && ../$(BIN)/mypy
	cd backend && ../$(BIN)/lint-imports
	! grep -nE '"resolved": *"http|^(--index-url|--extra-index-url|-i )' requirements*.txt $$(git ls-files '*package-lock.json')

format: $(DEV) ## Format the code, and mend what can be mended
	cd backend && ../$(BIN)/ruff format . && ../$(BIN)/ruff check --fix .

lock: $(DEV) ## Compile requirements.txt and requirements-dev.txt from backend/pyproject.toml
	cd backend && ../$(BIN)/uv pip compile -q $(LOCK) -o ../requirements.txt pyproject.toml
	cd backend && ../$(BIN)/uv pip compile -q $(LOCK) -o ../requirements-dev.txt pyproject.toml --group dev
LOCK := --universal --no-strip-extras --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock"

e2e: $(DEV) site fixture ## Build the site, check its links, run the browser tests (Node 20, chromium)
	cd backend && ../$(BIN)/python -m pytest tests/e2e

bench: $(DEV) ## Measure speed and memory
	cd backend && ../$(BIN)/python -m benchmarks

eval: setup ## Measure retrieval: make eval SITE=path/to/docs QUESTIONS=questions.jsonl
	$(BIN)/askbook index $(SITE)
	$(BIN)/askbook eval $(QUESTIONS)

faults: $(DEV) ## Write the table of faults into the documentation
	cd backend && ../$(BIN)/python -m tests.faults

contract: $(DEV) ## Record what crosses the wire into contract/
	cd backend && ../$(BIN)/python -m tests.recordings

widget: ## Build and test the widget (Node 20); what is committed must be what it makes
	cd widget && npm ci --no-audit --no-fund && npm run build && npm test
	git diff --exit-code -- backend/src/chatbot_api/static/widget

plugin: ## Build and test the Docusaurus plugin (needs Node 20)
	cd docusaurus-plugin && npm ci --no-audit --no-fund && npm test

fixture: ## Build the plugin's fixture site in every way, and hold its manifests against it (Node 20)
	cd docusaurus-plugin && npm run test:e2e

site: ## Build the documentation, as it is published and with the widget (needs Node 20)
	cd site && NO_UPDATE_NOTIFIER=1 npm ci --no-audit --no-fund && NO_UPDATE_NOTIFIER=1 npm run build
	cd site && NO_UPDATE_NOTIFIER=1 DOCUSAURUS_NO_PERSISTENT_CACHE=true DOCUSAURUS_GENERATED_FILES_DIR_NAME=.docusaurus-widget ASKBOOK_API_URL=/ask ASKBOOK_LOCALES=en,ar npx docusaurus build --out-dir build-widget

clean: ## Remove what can be made again; the index in data/ stays
	rm -rf .venv site/node_modules site/build site/build-widget site/.docusaurus site/.docusaurus-widget docusaurus-plugin/node_modules docusaurus-plugin/lib widget/node_modules widget/.test backend/benchmarks/lighthouse/node_modules

$(RUNTIME): requirements.txt backend/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Askbook needs Python 3.11 or newer: make setup PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps -e backend
	touch $@

$(DEV): $(RUNTIME) requirements-dev.txt
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt
	touch $@

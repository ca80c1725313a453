# The tasks of the project, the same for people and for CI. The logic is in tools/; each task does its own set-up.
PYTHON ?= python3
VENV := .venv/bin

.PHONY: help up test check coverage bench soak services lock format clean

help: ## say what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

up: ## set up and run the first example; needs only Python
	@$(PYTHON) -m tools.setup

test: ## everything: format, lint, types, rooms, all tests, on all Pythons of the machine (integration on two)
	@$(PYTHON) -m tools.gate test $(if $(JOBS),--jobs $(JOBS))

check: ## the quick gate: format, lint, types, rooms, and the tests that need nothing outside
	@$(PYTHON) -m tools.gate check $(if $(JOBS),--jobs $(JOBS))

coverage: ## which lines the tests reach in their own processes
	@$(PYTHON) -m tools.gate coverage $(if $(JOBS),--jobs $(JOBS))

bench: ## measure against peers; results in benchmarks/README.md
	@$(PYTHON) -m tools.environments dev
	@$(VENV)/python -m benchmarks $(ARGS)

soak: ## the long proofs, every seed; adds to docs/soak-log.md
	@$(PYTHON) -m tools.soak $(ARGS)

services: ## the real services that tests use: DO=start (default), stop, status, reset, install; ONLY="s3 postgres"
	@$(PYTHON) -m tools.services $(or $(DO),start) $(ONLY)

lock: ## resolve the packages anew (UPGRADE=1 takes newer versions)
	@$(PYTHON) -m tools.lock $(if $(UPGRADE),--upgrade)

format: ## put the code in order
	@$(PYTHON) -m tools.environments dev
	@$(VENV)/ruff check --quiet --fix-only .
	@$(VENV)/ruff format --quiet .

clean: ## forget environments and caches
	@rm -rf .venv .venv-* .cache .ruff_cache build dist

# Two commands do it all: `make demo` and `make test`. Everything they need, they install.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo stop test test-client-go test-cgroups torture lint format bench lock train-tiny eval-tiny
.PHONY: test-diffusers bench-diffusers clean

help: ## Show what can be made
	@grep -hE '^[a-z -]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z -]+):.*## /\1|/' \
		| while IFS='|' read -r name text; do printf '  make %-30s %s\n' "$$name" "$$text"; done

$(STAMP): pyproject.toml requirements/locked.txt scripts/make-environment
	@scripts/make-environment $(VENV) $(PYTHON)
	@touch $@

install: $(STAMP) ## Make the environment in .venv

demo: $(STAMP) ## Start the platform, run the Stable Diffusion demo, leave it running
	@$(BIN)/python -m examples.demo

stop: $(STAMP) ## Stop the platform that `make demo` started
	@$(BIN)/tidegate down

test: $(STAMP) ## Run every test, end to end ones too
	@scripts/install-test-tools
	@scripts/run-tests $(VENV)
	$(MAKE) --no-print-directory -C images/stable-diffusion test
	$(MAKE) --no-print-directory -C images/portal test

test-client-go: $(STAMP) ## Test the API by client-go (fetches Go and client-go: 4 minutes the first time)
	@scripts/install-test-tools
	@scripts/build-client-go $(VENV)
	$(BIN)/pytest tests/conformance/test_client_go.py

test-cgroups: $(STAMP) ## Test limits on a kernel with control groups of version 2 (boots one: 15 minutes)
	@scripts/test-cgroups $(VENV) $(CGROUPS_TESTS)

torture: $(STAMP) ## Change and break everything under load for an hour (HITLESS_REQUESTS, TORTURE_SECONDS)
	@scripts/install-test-tools
	TIDEGATE_CRASH_ROUNDS=200 $(BIN)/pytest tests/apiserver/test_store_faults.py
	HITLESS_REQUESTS=$(or $(HITLESS_REQUESTS),100000) $(BIN)/pytest tests/e2e/test_hitless.py
	TORTURE_SECONDS=$(or $(TORTURE_SECONDS),3000) $(BIN)/pytest tests/torture

lint: $(STAMP) ## Style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

format: $(STAMP) ## Put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## Measure, as ratios against limits and peers in the same run
	@scripts/install-test-tools
	$(BIN)/python -m benchmarks

lock: $(STAMP) ## Renew the pinned versions
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --group dev \
		--no-header --no-emit-index-url --output-file requirements/locked.txt pyproject.toml

train-tiny eval-tiny: ## Train or evaluate the small diffusion model
	$(MAKE) -C images/stable-diffusion $@

test-diffusers bench-diffusers: ## Test or measure the engine for real weights (installs torch)
	$(MAKE) -C images/stable-diffusion $@

clean: ## Remove the environment and what tools left
	rm -rf $(VENV) .pytest_cache .ruff_cache .import_linter_cache .hypothesis out

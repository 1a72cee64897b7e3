# `make` alone lists what there is. Only `run` needs no more than Rust and a C compiler; the others install
# what they miss into .tools/.

# Rounds of the crash test, and the store it runs on.
ROUNDS ?= 30
STORE ?= sqlite

.DEFAULT_GOAL := help
.PHONY: help run test check bench crash replicas tour examples

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Serve on this machine, built for speed.
	cargo run --release --locked -- serve

test: ## Install what the tests need, then run all of them.
	@scripts/test

check: ## Formatting, lints, documentation, protocol files, dependencies.
	@scripts/check

# Parts of the benchmark, all unless some are named; `--short` shows in a minute that it works.
PARTS ?=

# Both stores unless one is asked for.
MEASURED := $(if $(filter file,$(origin STORE)),sqlite postgres,$(STORE))

bench: ## Measure, and print the figures beside their baselines (both stores, or STORE=sqlite|postgres; PARTS="usage_out --short").
	@$(if $(filter postgres,$(MEASURED)),scripts/install-tools postgres)
	@for store in $(MEASURED); do STORE=$$store cargo bench --locked --bench compare -- $(PARTS) || exit; done

crash: ## Kill the server at random and at every failpoint, then audit (ROUNDS=30 STORE=sqlite|postgres).
	@ROUNDS=$(ROUNDS) STORE=$(STORE) scripts/crash

replicas: ## Measure three replicas on one database: rates shared out, and a minute without the database.
	@scripts/replicas

tour: ## Run the README's calls against a real server and check every answer.
	@scripts/tour

examples: ## Build the example clients and run them against a server that is restarted under them.
	@scripts/examples

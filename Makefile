# `make` alone prints what there is. Everything stays inside the checkout.

CARGO ?= cargo
# What `make setup` found. Used only after setup, which has said all there is to say.
SERVER = VP_NATS_SERVER="$$(./nats/setup.sh 2>/dev/null)"
TARGET = $(or $(CARGO_TARGET_DIR),target)
BROWSER = $(TARGET)/browser
POSTGRES = VP_POSTGRES_BIN="$$(./bridge/setup.sh 2>/dev/null)"

.DEFAULT_GOAL := help
.PHONY: help setup setup-tests build demo test test-browser torture nightly fmt lint bench clean-tools

help: ## show this list
	@echo 'vp: a mission queue over NATS JetStream'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo 'First time here? `make demo`. A nats-server of your own: VP_NATS_SERVER=/path/to/nats-server make ...'

setup: ## find nats-server 2.14 or newer, or fetch it into .tools/ (no root)
	@./nats/setup.sh >/dev/null

setup-tests: setup ## find PostgreSQL 15 or newer too, for the tests, or fetch it into .tools/ (no root)
	@./bridge/setup.sh >/dev/null

build: ## build the vp binary into target/release/
	$(CARGO) build --release --locked --bin vp

demo: setup ## see one mission go all the way, on this machine
	@$(SERVER) && export VP_NATS_SERVER && exec $(CARGO) run --release --locked --bin vp -- demo

# Most tests wait most of the time: for a lease, a lost link, a restart.
TEST_THREADS ?= $(shell echo $$((2 * $$(nproc))))

# The tests of processes use the `vp` that is built with the tests: a build of its own would have other features, and
# compile nearly everything once more.
test: setup-tests ## run all tests against a real nats-server and a real PostgreSQL
	@$(SERVER) && export VP_NATS_SERVER && $(POSTGRES) && export VP_POSTGRES_BIN && \
	if $(CARGO) nextest --version >/dev/null 2>&1; then \
		echo '$(CARGO) nextest run --workspace' && \
		$(CARGO) nextest run --locked --workspace --test-threads $(TEST_THREADS) && \
		echo '$(CARGO) test --workspace --doc' && \
		$(CARGO) test --locked --workspace --doc --quiet; \
	else \
		echo '$(CARGO) test --workspace (cargo-nextest would be faster)' && \
		$(CARGO) test --locked --workspace; \
	fi

# VP_BUILT=1: with the `vp` that `make test` has built.
test-browser: setup ## drive the web console in a real browser; screenshots go to target/browser
	$(if $(VP_BUILT),,$(CARGO) build --locked --bin vp)
	@$(SERVER) && export VP_NATS_SERVER && chromium=$$(./tests/browser/setup.sh) && \
	rm -rf $(BROWSER) && mkdir -p $(BROWSER) && \
	timeout 600 node tests/browser/console.mjs $(TARGET)/debug/vp "$$chromium" .tools/browser $(BROWSER)

# What to torture with: `make torture TORTURE="--seed 7 --minutes 30 --missions 5000"`, or --cluster 3.
TORTURE ?= --minutes 2 --missions 500

torture: setup-tests ## break everything for two minutes and prove what is left (about 4 minutes)
	@$(SERVER) && export VP_NATS_SERVER && $(POSTGRES) && export VP_POSTGRES_BIN && \
	exec $(CARGO) run --release --locked -p vp-tests --bin torture -- $(TORTURE)

nightly: ## torture on SQLite, on PostgreSQL and on a cluster, two minutes each (about 8 minutes, and the build)
	$(MAKE) torture TORTURE='--minutes 2 --missions 500'
	$(MAKE) torture TORTURE='--minutes 2 --missions 500 --ledger postgres'
	$(MAKE) torture TORTURE='--minutes 2 --missions 500 --cluster 3'

fmt: ## format the code
	$(CARGO) fmt

lint: ## check format and lints, as CI does
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

bench: setup ## measure throughput and latency of this system on this machine
	@$(SERVER) && export VP_NATS_SERVER && exec $(CARGO) run --release --locked --bin vp -- bench

clean-tools: ## remove what setup fetched
	rm -rf .tools

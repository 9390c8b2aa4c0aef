# `make help` lists what there is. Needed: Rust (rustup), a C compiler, Python 3.11 with venv.

CARGO ?= cargo

.PHONY: help run run-cluster test verify fix bench chaos chaos-planted test-browser test-balancers

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

run: ## the development server, http://127.0.0.1:8000/
	$(CARGO) run --release -- serve --dev

run-cluster: ## three nodes on this machine, and a page to watch them, http://127.0.0.1:8000/
	python3 examples/cluster/run.py

test: ## everything that is tested without a browser; sets itself up
	@command -v $(CARGO) >/dev/null || { echo "Rust is missing: https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing: apt-get install gcc" >&2; exit 1; }
	@command -v python3 >/dev/null || { echo "Python is missing: apt-get install python3" >&2; exit 1; }
	@python3 -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv is missing: apt-get install python3-venv" >&2; exit 1; }
	$(CARGO) test --workspace --locked

verify: ## reads only: format, lints, tests, documentation, licences
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(MAKE) test
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check; \
	else echo "not checked: licences and advisories; cargo install cargo-deny --locked, then again"; fi

fix: ## changes: format, and what clippy can mend
	$(CARGO) clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	$(CARGO) fmt --all

bench: ## measures the release build; SCENARIO=fanout (others: cargo run -p carillon-bench -- --help)
	$(CARGO) build --release --locked --workspace
	$(CARGO) run --release --locked -p carillon-bench -- $(or $(SCENARIO),fanout)

chaos: ## breaks everything around a cluster, one after the other; MINUTES=10 NODES=3, SEED=… has a run again, FLAGS=--release
	CARILLON_TEST_MINUTES=$(or $(MINUTES),10) CARILLON_TEST_NODES=$(NODES) CARILLON_SEED=$(SEED) \
		$(CARGO) test $(FLAGS) --locked --test chaos whatever_breaks -- --nocapture

chaos-planted: ## puts four bugs into builds of their own, and checks that the harness of `make chaos` finds each
	sh tests/chaos/planted.sh

test-browser: ## a real Chromium: a page of the old stack; two windows, and a kill between them; needs Node.js, npm and Chromium
	$(CARGO) build --locked
	sh tests/browser/run.sh

test-balancers: ## examples/cluster with nginx and HAProxy themselves before three nodes; installs nothing
	@PATH="$$PATH:/usr/sbin"; missing=; for one in nginx haproxy; do command -v $$one >/dev/null || missing="$$missing $$one"; done; \
	[ -z "$$missing" ] || { echo "this test needs$$missing: apt-get install$$missing" >&2; exit 1; }
	PATH="$$PATH:/usr/sbin" $(CARGO) test --locked --test cluster -- --ignored --nocapture balancers

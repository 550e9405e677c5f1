# Everything a person or a machine does with this repository. Each target sets up what it needs.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
FUZZ_SECONDS ?= 10
DENY_CHECKS ?= bans licenses sources
MSRV = $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

.PHONY: help
help: ## What there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

.PHONY: run
run: ## Start the demo on PORT (default 8000)
	@scripts/need cargo
	@cargo build -q -p evstream-demo
	@exec target/debug/evstream-demo

.PHONY: run-pushpin
run-pushpin: ## The demo behind a Pushpin, which listens on PORT (default 8000)
	@exec scripts/run-pushpin

.PHONY: run-workers
run-workers: ## Four workers of gunicorn that share a journal, on PORT (default 8000)
	@exec scripts/run-workers

.PHONY: test
test: lint test-rust test-floors test-fuzz test-browser test-c test-node test-python test-peers ## All tests but the slow ones
	@echo "All tests have passed."

.PHONY: test-slow
test-slow: ## Tests that take minutes: the C library under valgrind, and processes that share a journal
	scripts/test-c slow
	scripts/test-journal

.PHONY: lint
lint: ## Formatting, lints, links and code of the documentation, who imports whom, and the size of the browser's client
	@scripts/need cargo node npm:bindings/browser python3
	scripts/floors
	scripts/check-docs
	npm run --silent --prefix bindings/browser size
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --quiet --no-deps -p evstream

.PHONY: test-rust
test-rust: ## Tests of the Rust crates, with a real Pushpin
	@scripts/need cargo curl haproxy promtool pushpin redis
	cargo test --workspace

.PHONY: test-floors
test-floors: ## The floors without I/O: alone, and their races by a model checker
	cargo clippy -p evstream --no-default-features --all-targets -- -D warnings
	RUSTFLAGS="--cfg evstream_loom" cargo test -p evstream --no-default-features --lib --target-dir target/loom loom

.PHONY: test-fuzz
test-fuzz: ## Each fuzz target for FUZZ_SECONDS
	scripts/fuzz $(FUZZ_SECONDS)

.PHONY: test-browser
test-browser: ## The demo in Chromium, our client there, and what other client libraries do
	@scripts/need cargo chromium nginx node npm:tests/browser npm:tests/clients npm:bindings/browser
	cargo build -q -p evstream-demo
	cargo build -q -p evstream --example clients --example sharing --example tabs
	cd tests/browser && npm test
	cd tests/clients && npm test
	cd bindings/browser && npm test

.PHONY: test-pushpin
test-pushpin: ## What needs a Pushpin: the Rust tests, and the demo behind it in Chromium
	@scripts/need cargo chromium curl nginx node npm:tests/browser pushpin
	cargo test -p evstream --test pushpin
	cargo build -q -p evstream-demo
	cargo build -q -p evstream --example sharing
	cd tests/browser && DEMO_CMD=scripts/run-pushpin npm test

.PHONY: test-peers
test-peers: ## Other GRIP libraries publish to us and to our Pushpin, and verify our tokens
	scripts/test-peers

.PHONY: deny
deny: ## Licences, sources and doubles of all dependencies; DENY_CHECKS=all asks for advisories too, which needs GitHub
	@test -x target/tools/bin/cargo-deny || cargo install --quiet --locked --root target/tools cargo-deny@0.20.2
	target/tools/bin/cargo-deny check $(DENY_CHECKS)

.PHONY: msrv
msrv: ## Everything compiles with the oldest Rust that Cargo.toml allows
	@scripts/need cargo msrv
	cargo +$(MSRV) check --quiet --workspace --all-targets --target-dir target/msrv

.PHONY: test-c
test-c: ## The C library, its header, installation and examples, with sanitizers
	scripts/test-c fast

.PHONY: test-nightly
test-nightly: ## The C library under Miri and a thread sanitizer; needs a nightly toolchain with miri and rust-src
	scripts/test-c nightly

.PHONY: test-node
test-node: ## The Node package: real frameworks, clients and processes
	@scripts/need cargo chromium node npm:tests/browser pushpin
	scripts/test-node

.PHONY: test-python
test-python: ## The Python package: real servers, types and lints
	@scripts/need cargo chromium node npm:tests/browser pushpin python3 redis
	scripts/test-python

.PHONY: bench
bench: ## Figures, into target/bench/results.json
	@scripts/need cargo
	cargo run --release -p evstream-bench -- all

.PHONY: bench-peers
bench-peers: ## Figures beside peers and proxies, into target/bench/results.json
	scripts/bench-peers

.PHONY: lib
lib: ## Build the C library, for an install with BUILD=no
	@scripts/install build

.PHONY: install
install: ## Build and install the C library below PREFIX (default /usr/local)
	@scripts/install

.PHONY: uninstall
uninstall: ## Remove the C library from PREFIX
	@scripts/install uninstall

.PHONY: clean
clean: ## Remove what was built
	rm -rf target node_modules tests/browser/node_modules tests/clients/node_modules bindings/browser/node_modules

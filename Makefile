# Everything runs in the clone's own environment, which is made on first use and kept up to date.
#
#   make TARGET                          with the first fit Python found (3.11 or later)
#   make TARGET PYTHON=python3.13 VENV=.venv-3.13
#   make compare ARGS="fetch --quick"    arguments for the command behind the target

VENV ?= .venv
PYTHON ?=
ARGS ?=

# What a shell may have set for another Python would be read by this one too.
unexport PYTHONHOME PYTHONPATH PYTHONUSERBASE VIRTUAL_ENV CONDA_PREFIX __PYVENV_LAUNCHER__

BIN = $(VENV)/bin

# Most tests wait for something: two files are run at a time, unless ARGS chooses some.
# In the order of testpaths, so that the long ones come first, and no process waits for the other at the end.
TWO_AT_A_TIME = $(if $(ARGS),,--numprocesses 2 --dist loadfile --no-loadscope-reorder)

# $(call environment,GROUP...): brings the environment up to date; a shell command.
define environment
	@for python in $(if $(PYTHON),"$(PYTHON)",python3 python3.14 python3.13 python3.12 python3.11); do \
	    if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        exec "$$python" tools/environment.py "$(VENV)" $(1); \
	    fi; \
	done; \
	echo "error: no Python 3.11 or later was found$(if $(PYTHON), as $(PYTHON)): name one with make PYTHON=/path/to/python3" >&2; \
	exit 2
endef

.PHONY: help compare test e2e lint format lock clean

help: ## List the targets
	@sed -n 's/^\([a-z0-9]*\): .*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target text; do \
	    printf '%-16s %s\n' "$$target" "$$text"; \
	done

compare: ## Compare all concurrency models on the default workload (a minute and a half)
	$(environment)
	@"$(BIN)/python" -m producer compare $(ARGS)

test: ## Run the tests against a real broker and real workers (ARGS: for pytest)
	$(call environment,dev)
	@"$(BIN)/python" -m pytest $(TWO_AT_A_TIME) $(ARGS)

e2e: ## Run the tests of the container images, and of pages in a browser (needs Docker, Chromium)
	$(call environment,dev e2e)
	@"$(BIN)/python" -m pytest -m e2e tests/e2e $(ARGS)

lint: ## Check style, types and the lock
	$(call environment,dev)
	@"$(BIN)/ruff" check .
	@"$(BIN)/ruff" format --check .
	@"$(BIN)/mypy"
	@UV="$(BIN)/uv" tools/requirements.sh --check

format: ## Format the code and fix what can be fixed
	$(call environment,dev)
	@"$(BIN)/ruff" check --fix --exit-zero .
	@"$(BIN)/ruff" format .

lock: ## Write uv.lock and requirements/ after a change to pyproject.toml (ARGS="--upgrade": newest versions)
	$(call environment,dev)
	@UV="$(BIN)/uv" tools/requirements.sh $(ARGS)

clean: ## Remove the environment and everything else that was made here
	rm -rf "$(VENV)" .venv-* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist report
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Everything a person does with this repository, one word each. `make` alone lists the words.
SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
LABEL_STUDIO_VENV ?= .venv-label-studio
export LABEL_STUDIO_VENV
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Where this is set, every process that loads the engine would compile PyTorch anew: 21 s of processor instead of 8.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install install-label-studio install-all demo test lint format serve clean distclean

help: ## list these words
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## Wordmask with everything for development, in .venv
install-label-studio: $(LABEL_STUDIO_VENV)/.installed ## a Label Studio of its own for demo and tests, in .venv-label-studio

install-all: ## both environments, a Chromium and a Redis
	@$(MAKE) --no-print-directory --jobs=2 install install-label-studio
	@$(PY) -m tools.ensure_chromium
	@-$(PY) -m tools.redis_server

demo: install-all ## a real Label Studio with masks made from words; DEMO_EXIT=1 checks it, writes demo-output/ and ends
	@$(PY) -m tools.demo $(if $(filter-out 0,$(DEMO_EXIT)),--check)

# One more than there are cores: tests of real servers wait for much of their time.
TEST_PROCESSES ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )))

# There are more processes than cores: threads that wait for each other at every step would only wait longer.
test: export OMP_NUM_THREADS := 1
test: install-all ## every test, a real Label Studio and a real browser included
	@$(PY) -m pytest --numprocesses=$(TEST_PROCESSES) --dist=loadfile --no-loadscope-reorder $(PYTEST_ARGS)

lint: install ## style, formatting and types
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

format: install ## put the sources into the form that lint wants
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

serve: install ## the ML backend on http://127.0.0.1:9090
	@$(VENV)/bin/wordmask serve

clean: ## remove what tests, tools and the demo wrote
	rm -rf build dist *.egg-info demo-output .demo .cache .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -not -path './.venv-label-studio/*' -prune -exec rm -rf {} +

distclean: clean ## remove the environments, too
	rm -rf $(VENV) .venv-label-studio

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "Installing Wordmask into $(VENV) (PyTorch is large: some minutes the first time)"
	@tools/make_venv.sh $(VENV) -c constraints.txt -e ".[dev]"
	@touch $@

$(LABEL_STUDIO_VENV)/.installed: constraints-label-studio.txt
	@echo "Installing Label Studio into $(LABEL_STUDIO_VENV)"
	@tools/make_venv.sh $(LABEL_STUDIO_VENV) -c constraints-label-studio.txt label-studio
	@touch $@

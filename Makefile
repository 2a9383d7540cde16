# `make help` lists what there is. Every target makes the environment that it needs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# From make's command line alone (make plan SCALE=mini): the shell may use these names for something of its own
VENV := .venv
BIN := $(VENV)/bin
PROFILE := profiles/laptop
SCALE := paper
KILLS := 1
SEED := 1
MINUTES := 10
ENGINES :=
PYTEST := $(BIN)/python -m pytest
# A test file stays in one process, which makes its fixtures once
PARALLEL := -n auto --maxprocesses 8 --dist loadfile

# Jobs start many Python processes: let these keep their compiled modules
export PYTHONDONTWRITEBYTECODE :=
# A folder given by the shell would be found before the environment's own packages; others change how Python runs, or
# what a shell does before a command
unexport PYTHONPATH PYTHONHOME PYTHONUSERBASE PYTHONSTARTUP PYTHONOPTIMIZE PYTHONINSPECT PYTHONWARNINGS
unexport BASH_ENV ENV CDPATH
.NOTPARALLEL: # MAKEFLAGS=-j in the shell would run tests beside tests

##@ Run
.PHONY: mini
mini: $(VENV)/installed ## the whole pipeline on two CPU cores, into results/mini/, in minutes: see `make plan SCALE=mini`
	@workflow/alone.sh $(BIN)/snakemake --profile $(PROFILE) --nolock mini

.PHONY: plan
plan: $(VENV)/installed ## what a scale costs before it starts: GPU-hours, dollars, wall time, disk (SCALE=paper)
	@$(BIN)/deepscaler plan --scale $(SCALE)

.PHONY: dag
dag: $(VENV)/installed ## what a scale would run, counted by rule; runs nothing (SCALE=paper)
	@$(BIN)/snakemake $(SCALE) --dry-run --quiet rules

.PHONY: picture
picture: $(VENV)/installed ## docs/dag.md: a picture of the rules and what feeds what
	@{ printf '# The rules\n\nMade by `make picture`; an arrow goes from a rule to one that needs it.\n\n```mermaid\n' && \
		PYTHONHASHSEED=0 $(BIN)/snakemake --rulegraph mermaid-js mini released rehearsal paper 2>/dev/null | sed -E '/^---$$|^title:|style id/d' && \
		printf '```\n'; } > docs/.dag.md && mv docs/.dag.md docs/dag.md || { rm -f docs/.dag.md; exit 1; }

.PHONY: docs
docs: $(VENV)/installed ## fill in the numbers in README.md and docs/ from their sources
	@$(BIN)/deepscaler write_docs

.PHONY: check
check: $(VENV)/installed ## compare a run of mini with the one kept in results/reference/mini/
	@$(BIN)/deepscaler check --scale mini

.PHONY: reference
reference: $(VENV)/installed ## keep the run in results/mini/ as an archive, results/reference/mini/: for comparison, and to be re-verified
	@$(BIN)/deepscaler archive --scale mini --to results/reference/mini

.PHONY: regrade
regrade: $(VENV)/installed ## hold the kept run against itself: samples → grades → table, in seconds
	@$(BIN)/deepscaler reverify results/reference/mini --depth grade

.PHONY: resample
resample: $(VENV)/installed ## the same from its weights on: every sample drawn again, in a minute or two
	@$(BIN)/deepscaler reverify results/reference/mini --depth sample

.PHONY: retrain
retrain: $(VENV)/installed ## the same from nothing on: mini is made again, elsewhere, in minutes
	@$(BIN)/deepscaler reverify results/reference/mini --depth train

##@ Test
.PHONY: test
test: $(VENV)/installed .venv-standards/installed ## unit tests, attacks, dry runs of every scale, the standards' validators, equal training, the kept run sampled again, mini end to end: under an hour on two cores
	@$(PYTEST) $(PARALLEL) tests/unit
	@$(PYTEST) tests/security
	@$(PYTEST) tests/workflow
	@$(PYTEST) tests/standards
	@$(PYTEST) tests/mini/test_equal_training.py
	@$(PYTEST) tests/mini/test_kept_run.py
	@$(PYTEST) tests/mini/test_end_to_end.py

.PHONY: test-all
test-all: test test-trackers test-engines test-slurm ## these and the slow ones: trackers, the real engines under faults, SLURM

.PHONY: test-engines
test-engines: $(VENV)/installed ## the real engines when killed, on full disks, with second writers, with weights withheld
	@$(PYTEST) tests/mini --ignore tests/mini/test_end_to_end.py

.PHONY: test-equal
test-equal: $(VENV)/installed ## mini twice, once killed five times at random moments: the same bytes (KILLS seeds the moments)
	@DEEPSCALER_KILLS=$(KILLS) $(PYTEST) -rP tests/mini/test_equal_runs.py

.PHONY: test-unit
test-unit: $(VENV)/installed ## unit tests alone
	@$(PYTEST) $(PARALLEL) tests/unit

.PHONY: test-security
test-security: $(VENV)/installed ## the attacks of SECURITY.md: forged results, hostile files and answers (seconds each); with ENGINES=1 Ray's, too
	@$(PYTEST) tests/security $(if $(ENGINES),tests/mini/test_ray_security.py)

.PHONY: test-standards
test-standards: $(VENV)/installed .venv-standards/installed ## what is written in standards' formats, by the standards' own validators
	@$(PYTEST) tests/standards

.PHONY: test-trackers
test-trackers: $(VENV)/installed .venv-tracking/installed ## what TensorBoard, trackio and wandb are given, by their own readers
	@$(PYTEST) tests/trackers
.PHONY: test-harnesses
test-harnesses: $(VENV)/installed setup-harnesses ## the harnesses that `deepscaler opinions` asks, each in its own environment, and the logs written for them
	@$(PYTEST) tests/harnesses

.PHONY: test-workflow
test-workflow: $(VENV)/installed ## the jobs and files of every scale, by dry runs
	@$(PYTEST) tests/workflow

.PHONY: test-mini
test-mini: $(VENV)/installed ## the mini pipeline end to end, in a copy of the checkout
	@$(PYTEST) tests/mini/test_end_to_end.py

.PHONY: test-slurm
test-slurm: $(VENV)/installed ## a SLURM cluster on this machine, which the tests start and stop
	@$(PYTEST) tests/slurm

.PHONY: chaos
chaos: $(VENV)/installed ## real training on that cluster while at random something goes wrong, for MINUTES=10; SEED=1, or several
	@$(BIN)/python tests/slurm/chaos.py --minutes $(MINUTES) $(SEED)

.PHONY: test-slurm-quick
test-slurm-quick: $(VENV)/installed ## the SLURM tests without engines: every request of the paper, faults on jobs that only wait
	@$(PYTEST) tests/slurm -m "not engine"

.PHONY: lint
lint: $(VENV)/installed ## ruff, snakefmt, snakemake --lint, mypy, generated files up to date
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/snakefmt --check --line-length 120 Snakefile .test/Snakefile workflow/Snakefile workflow/rules
	@$(BIN)/snakemake --lint >/dev/null || { $(BIN)/snakemake --lint; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/python envs/seal.py --check
	@$(BIN)/deepscaler schemas --check
	@$(BIN)/deepscaler write_docs --check

.PHONY: release-check
release-check: lint test-standards regrade ## versions, documents, generated files and the kept run agree: before a version is tagged
	@version=$$($(BIN)/python -c 'import deepscaler; print(deepscaler.__version__)'); \
		! grep -q "^## $$version, not yet released" CHANGELOG.md || { \
		echo "CHANGELOG.md: $$version is not yet released: write its date"; exit 1; }

.PHONY: citation
citation: .venv-standards/installed ## codemeta.json and .zenodo.json from CITATION.cff
	@.venv-standards/bin/cffconvert --validate -i CITATION.cff
	@.venv-standards/bin/cffconvert -i CITATION.cff -f codemeta -o codemeta.json
	@.venv-standards/bin/cffconvert -i CITATION.cff -f zenodo -o .zenodo.json

.PHONY: sbom
sbom: .venv-standards/installed ## sbom/: what each environment consists of, as CycloneDX: with licences where it is installed, else by its locks
	@mkdir -p sbom
	@for kind in cpu gpu controller; do \
		venv=.venv-$$kind; [ $$kind != cpu ] || venv=$(VENV); \
		locks=($$(ls envs/$$kind[-.]*txt | grep -vE 'excludes|constraints')); \
		of=(requirements -); [ ! -f $$venv/installed ] || of=(environment $$venv/bin/python); \
		.venv-standards/bin/cyclonedx-py "$${of[@]}" --pyproject pyproject.toml --output-reproducible \
			-o sbom/$$kind.cdx.json < <(cat "$${locks[@]}"); \
		echo "sbom/$$kind.cdx.json: $$(grep -c '"bom-ref"' sbom/$$kind.cdx.json) components, by $${of[*]}"; \
	done

.PHONY: format
format: $(VENV)/installed ## ruff and snakefmt, applied
	@$(BIN)/ruff check --fix-only --quiet
	@$(BIN)/ruff format
	@$(BIN)/snakefmt --line-length 120 Snakefile .test/Snakefile workflow/Snakefile workflow/rules

.PHONY: schemas
schemas: $(VENV)/installed ## workflow/schemas/ from the settings' models
	@$(BIN)/deepscaler schemas

##@ Environments
.PHONY: setup
setup: $(VENV)/installed ## .venv: Python packages of a laptop, CI and a cluster's CPU nodes

.PHONY: setup-gpu
setup-gpu: .venv-gpu/installed ## .venv-gpu: the same with CUDA engines (on a node with nvcc)

.PHONY: setup-controller
setup-controller: .venv-controller/installed ## .venv-controller: Snakemake alone, for a login node

.PHONY: setup-standards
setup-standards: .venv-standards/installed ## .venv-standards: the validators that `make test-standards` calls

.PHONY: setup-tracking
setup-tracking: .venv-tracking/installed ## .venv-tracking: TensorBoard, trackio and wandb, for `deepscaler track`
HARNESSES := inspect-ai lighteval lm-eval verl
.PHONY: setup-harnesses
setup-harnesses: $(HARNESSES:%=.venv-harnesses/%/installed) ## .venv-harnesses/: an environment for each harness that `deepscaler opinions` asks (2 GB)

.PHONY: locks
locks: ## resolve all environments anew (needs a network)
	@envs/lock.sh

INSTALLERS := envs/setup.sh envs/architectures.py envs/cuda_toolkit.py envs/install.py envs/package_source.py envs/uv.lock.txt pyproject.toml

$(VENV)/installed: $(wildcard envs/cpu[-.]*txt) $(INSTALLERS)
	@envs/setup.sh cpu $(VENV)

.venv-gpu/installed: $(wildcard envs/gpu[-.]*txt) $(INSTALLERS)
	@envs/setup.sh gpu .venv-gpu

.venv-controller/installed: $(wildcard envs/controller[-.]*txt) $(INSTALLERS)
	@envs/setup.sh controller .venv-controller

.venv-standards/installed: $(wildcard envs/standards[-.]*txt) $(INSTALLERS)
	@envs/setup.sh standards .venv-standards

.venv-tracking/installed: $(wildcard envs/tracking[-.]*txt) $(INSTALLERS)
	@envs/setup.sh tracking .venv-tracking
.SECONDEXPANSION:
.venv-harnesses/%/installed: $$(wildcard envs/$$*[-.]*txt) $(INSTALLERS)
	@envs/setup.sh $* .venv-harnesses/$*

##@ Tidy
.PHONY: clean
clean: ## remove caches and what is cheap to make again; results, checkpoints and samples stay
	@rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis .snakemake/log .snakemake/tmp.* benchmarks/out
	@find workflow tests envs -name __pycache__ -prune -exec rm -rf {} +
	@echo "Kept: results/, work/, logs/ and the environments. To remove a scale's: make clean-mini"

.PHONY: clean-mini
clean-mini: ## remove mini's results, checkpoints and samples, after confirmation
	@[ -t 0 ] || { echo "This asks for confirmation: start it from a terminal."; exit 1; }
	@read -r -p "Remove results/mini, work/mini and logs/mini? They cost minutes (make plan SCALE=mini). [y/N] " answer; \
		[[ $$answer == [yY]* ]] && rm -rf results/mini work/mini logs/mini

.PHONY: help
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

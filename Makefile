# Everything a person does with Sandstore, one word each. The work itself is in CMake, scripts/ and docker-compose.yaml.
# What is built: `make profiles` lists the profiles and options; `make build PROFILE=static TRACE=off`.
SETUP ?= scripts/setup
JOBS ?= $(shell nproc)
ARGS ?=
SEEDS ?= 20000

.DEFAULT_GOAL := help
.PHONY: help run setup build test test-containers asan tsan image up logs smoke down clean format tidy profiles check \
        bench chaos monitoring-up size sbom shell check-arm64 test-long

# --- The selection: checked before anything runs, whatever the target -------------------------------------------------
# Variables that are no build options. A name that stands neither here nor in scripts/profiles.txt is refused.
SETTINGS := SETUP JOBS ARGS COMPOSE DEPLOY SEEDS
OPTIONS := $(shell scripts/build-profile --names)
GIVEN := $(sort $(foreach name,$(OPTIONS),$(if $($(name)),$(name))) \
    $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name))))
quoted = '$(subst ','\'',$(1))'
SELECTION := $(foreach name,$(filter-out $(SETTINGS),$(GIVEN)),$(call quoted,$(name)=$($(name))))
ifneq ($(shell scripts/build-profile $(SELECTION) >/dev/null || echo refused),)
    $(error Nothing was done)
endif
SELECTED := $(shell scripts/build-profile --selection $(SELECTION) 2>/dev/null)

CHOICES = $(foreach name,$(OPTIONS),-DSANDSTORE_$(name)=$(call quoted,$($(name))))
CONFIGURE = mkdir -p build && \
    { cmake --preset release $(CHOICES) >build/configure.log || { cat build/configure.log; exit 1; }; }
# $(call needs,FILE,COMMAND): runs the command, or says in a line what is missing.
needs = [ -e $(1) ] || { echo "make $@: $(1) is not here" >&2; exit 1; }; $(2)

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 24
	@echo
	@echo "  PROFILE=... and single options ($(filter-out PROFILE,$(OPTIONS))) go with all of them."

profiles: ## what can be built: profiles, options and their values
	@scripts/build-profile --profiles

run: setup ## a cluster on this machine, until Ctrl-C
	@$(CONFIGURE)
	@cmake --build --preset release --parallel $(JOBS) --target sandstore smoke
	@exec build/release/sandstore demo $(ARGS)

setup: ## install what is missing (Debian packages)
	@scripts/build-profile $(SELECTION)
	@$(SETUP)

build: setup ## build everything, tests included, in build/release
	@$(CONFIGURE)
	@cmake --build --preset release --parallel $(JOBS)

check: ## the quick checks: selection, rules of the house, configuration; compiles nothing
	@scripts/build-profile $(SELECTION)
	@scripts/tidy
	@$(CONFIGURE)
	@echo "check: all fine"

test: build ## build and run all tests that need no Docker
	@scripts/run-tests release

test-long: build ## SEEDS=20000 seeds of the simulator, every planted fault, ten minutes of chaos: hours
	@build/release/tests/sim --seeds $(SEEDS) --from $$(date +%s) --jobs $(JOBS)
	@build/release/tests/sim_planted --all --jobs $(JOBS)
	@scripts/chaos --duration 600s

test-containers: ## the tests that need Docker: the image, and docker-compose.yaml
	@tests/containers/run

# The README's commands build and run the release program, whatever the preset: they are left to `make test`.
asan: setup ## build and run all of them with address and undefined-behaviour sanitizers
	@$(subst release,asan,$(CONFIGURE))
	@cmake --build --preset asan --parallel $(JOBS)
	@SANDSTORE_TEST_PATIENCE_S=120 scripts/run-tests asan -E '^cluster_readme$$'

tsan: setup ## the code that has threads (disks, names, the loop's edges) with the thread sanitizer
	@$(subst release,tsan,$(CONFIGURE))
	@cmake --build --preset tsan --parallel $(JOBS) --target runtime_test net_test chunk_test log_test
	@scripts/run-tests tsan -R '^(runtime|net|chunk|log)_test$$'

bench: setup ## a short benchmark: three nodes on this machine, then the innermost loops
	@$(CONFIGURE)
	@cmake --build --preset release --parallel $(JOBS) --target sandstore dispatch_bench log_write_bench
	@$(call needs,scripts/bench,scripts/bench $(ARGS))

chaos: ## break a running cluster on purpose and check that nothing is lost; ARGS="--seed 7 --dry-run"
	@$(call needs,scripts/chaos,scripts/chaos $(ARGS))

# --- Containers -------------------------------------------------------------------------------------------------------
image up size sbom shell monitoring-up check-arm64: \
    export SANDSTORE_COMMIT = $(shell git rev-parse --short=12 HEAD 2>/dev/null)
image up size sbom shell monitoring-up check-arm64: export CREATED = \
    $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null)
export $(OPTIONS)
# What scripts/compose runs: files of scripts/deploy/. docker-compose.yaml itself needs etcd.
DEPLOY ?= $(if $(filter REPLICATOR=noop,$(SELECTED)),single-node,$(if $(filter DISCOVERY=static,$(SELECTED)),static))
export DEPLOY

image: ## build the container image
	@$(call needs,scripts/image,scripts/image build)

up: ## start the cluster in containers and run the smoke check; DEPLOY="five-nodes zones" adds to it
	@$(if $(SELECTION),$(call needs,scripts/image,scripts/image build))
	@scripts/compose up -d
	@scripts/compose await-smoke

monitoring-up: ## the cluster with Prometheus and Grafana beside it
	@DEPLOY="$(DEPLOY) monitoring" scripts/compose up -d

logs: ## follow the containers' logs
	@scripts/compose logs -f

smoke: ## run the smoke check against the running containers again
	@scripts/compose run --rm smoke

down: ## stop the containers, keep their data
	@scripts/compose down

size: ## how large the image is, and what is in it
	@$(call needs,scripts/image,scripts/image size)

sbom: ## what the image is made of, as SPDX JSON
	@$(call needs,scripts/sbom,scripts/sbom)

shell: ## a shell beside a node's files: the debug image
	@$(call needs,scripts/image,scripts/image shell)

check-arm64: ## build for arm64 and run the smoke check under qemu
	@$(call needs,scripts/image,scripts/image check-arm64)

clean: ## remove containers, volumes, networks and build outputs
	@scripts/compose clean
	rm -rf build

format: ## clang-format on all sources
	@git ls-files --cached --others --exclude-standard -- '*.h' '*.cc' | xargs clang-format -i

tidy: ## the rules of the house that a program can check
	@scripts/tidy

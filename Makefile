# Everything a person does with Sandstore, one word each. The work itself is in CMake, scripts/ and docker-compose.yaml.
SETUP ?= scripts/setup
JOBS ?= $(shell nproc)
CONFIGURE = mkdir -p build && { cmake --preset release >build/configure.log || { cat build/configure.log; exit 1; }; }
CTEST = ctest --preset release --parallel 2

.DEFAULT_GOAL := help
.PHONY: help run setup build test test-containers asan image up logs smoke down clean format tidy

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 24

run: setup ## a three-node cluster on this machine, until Ctrl-C
	@$(CONFIGURE)
	@cmake --build --preset release --parallel $(JOBS) --target sandstore smoke
	@exec build/release/sandstore demo

setup: ## install what is missing (Debian packages)
	@$(SETUP)

build: setup ## build everything, tests included, in build/release
	@$(CONFIGURE)
	@cmake --build --preset release --parallel $(JOBS)

test: build ## build and run all tests that need no Docker
	$(CTEST) -L 'unit|tidy'
	$(CTEST) -LE 'unit|tidy'

test-containers: ## the tests that need Docker: the image, and docker-compose.yaml
	@tests/containers/run

asan: setup ## the unit tests with address and undefined-behaviour sanitizers
	@$(subst release,asan,$(CONFIGURE))
	@cmake --build --preset asan --parallel $(JOBS)
	ctest --preset asan --parallel 2 -L unit

image up: export SANDSTORE_COMMIT = $(shell git rev-parse --short=12 HEAD 2>/dev/null)

image: ## build the container image
	@scripts/compose build

up: ## start the cluster in containers and run the smoke check
	@scripts/compose up -d
	@scripts/compose await-smoke

logs: ## follow the containers' logs
	@scripts/compose logs -f

smoke: ## run the smoke check against the running containers again
	@scripts/compose run --rm smoke

down: ## stop the containers, keep their data
	@scripts/compose down

clean: ## remove containers, volumes, networks and build outputs
	@scripts/compose clean
	rm -rf build

format: ## clang-format on all sources
	@git ls-files --cached --others --exclude-standard -- '*.h' '*.cc' | xargs clang-format -i

tidy: ## the rules of the house that a program can check
	@scripts/tidy

# make run    set up, build release, run the default plugins.json to its end
# make test   set up, build, run every test
# make help   all targets
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PREFIX ?= /usr/local
BUILD := .build/release

.DEFAULT_GOAL := help
.PHONY: help setup build run test interop exact bench fuzz kill soak install clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is missing (libsqlite3-dev), check the toolchain
	@scripts/setup

build: setup ## release build of keel and every bundled plugin
	@scripts/logged build-release swift build -c release

run: build ## run the default manifest on the simulated venue to its end
	@$(BUILD)/keel run plugins.json --until end

test: setup ## every test; under 20 minutes on two cores
	@scripts/test

interop: setup ## only the tests that drive us with real third-party clients
	@scripts/interop

exact: build ## the two example strategies at full size against plain Python: same fills, same equity
	@python3 Tests/Interop/exact/run.py $(BUILD)/keel 1000000 5000000

bench: build ## print the figures of docs/performance.md
	@$(BUILD)/keel-bench

fuzz: build ## ten million inputs into every parser that reads bytes from outside
	@$(BUILD)/keel-fuzz all --count 10000000

kill: build ## the long kill soak: a thousand random instants
	@scripts/kill --count 1000

soak: setup ## a year of one-minute bars with random faults, for four seeds
	@scripts/soak

install: build ## install to PREFIX (default /usr/local)
	@scripts/install "$(PREFIX)"

clean: ## remove build output and the default run's state
	rm -rf .build state

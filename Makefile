# Two commands matter: `make demo` and `make test`. Both work on a fresh Debian or Raspberry Pi OS.
VENV ?= .venv
PY := $(VENV)/bin/python
SYSTEM_PACKAGES := libzbar0 mosquitto python3-venv
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test check format docs coverage mutants bench house prove deb wheels release \
  install try-deb setup system clean

# On all cores, a file's tests in one process: they share what the file sets up.
PARALLEL := -n auto --dist loadfile

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: setup  ## the whole system here, simulated hardware and a real broker; compares the ledgers
	$(VENV)/bin/edge-scanner demo $(ARGS)

test: setup  ## the tests, on all cores (ARGS=-n0: in one process)
	$(PY) -m pytest $(PARALLEL) $(ARGS)

check: setup  ## linters, types, architecture
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(PY) -m pytest tests/architecture

format: setup  ## format the code and sort its imports
	$(VENV)/bin/ruff check --select I --fix .
	$(VENV)/bin/ruff format .

docs: setup $(VENV)/.with-docs  ## the site in build/docs/html; a broken link or diagram fails
	rm -rf build/docs docs/api
	$(PY) -m sphinx -q -W --keep-going -j auto -d build/docs/doctrees -b html \
	  docs build/docs/html $(ARGS)
	@echo "build/docs/html/index.html"

# Of the scenarios, those without a broker and a platform: the others measure little more and take
# minutes.
MEASURED := tests/unit tests/contract tests/proof $(addprefix tests/scenario/,\
  commands decode doctor enrolment pickup redemption simulator)

coverage: setup  ## lines and branches that most tests run, against a floor (ARGS=tests: of all)
	rm -rf build/coverage && mkdir -p build/coverage
	$(VENV)/bin/coverage run -m pytest $(PARALLEL) $(or $(ARGS),$(MEASURED))
	$(VENV)/bin/coverage combine -q
	$(VENV)/bin/coverage html -q --fail-under=0
	$(VENV)/bin/coverage report
	@echo "build/coverage/html/index.html"

mutants: setup $(VENV)/.with-mutants  ## code changes that no test notices (ARGS="--count 200")
	@.ci/system-packages git
	$(PY) .ci/mutants $(ARGS)

bench: setup  ## the benchmarks, each against a peer in the same run
	$(PY) -m benchmarks $(ARGS)

house: setup  ## rooms, arrows and circles of the code, and trips, measured by running them
	$(PY) -m tests.architecture

prove: setup  ## the long proofs, and a table of what they tried (ARGS="--times 10": ten times)
	@.ci/system-packages spin gcc
	$(PY) -m pytest -m "slow or not slow" --timeout=1800 --scoreboard $(ARGS)

deb:  ## a Debian package in build/deb (RELEASE=trixie ARCH=arm64 for another machine's)
	@.ci/system-packages python3-venv
	packaging/build-deb $(if $(RELEASE),--release $(RELEASE)) $(if $(ARCH),--arch $(ARCH))

wheels:  ## is each library a wheel for each release and architecture? (ARGS='--arch arm64')
	@.ci/system-packages python3-venv
	packaging/check-wheels $(ARGS)

release: setup $(VENV)/.with-release  ## the release in build/release (ARGS=--rehearse: no tag)
	@.ci/system-packages git
	PYTHON=$(PY) packaging/make-release $(ARGS)

install:  ## on this machine: running, enabled services (ARGS='--profile locker-gpio')
	sudo ./install $(ARGS)

try-deb:  ## the package's whole life in a clean Debian that boots (ARGS=--checkout: `./install`)
	@.ci/system-packages debootstrap systemd-container
	packaging/try-in-clean-debian $(ARGS)

setup: system $(STAMP)

# picamera2 is wanted for its signatures; its compiled dependencies come from the system
# on a Pi.
$(STAMP): pyproject.toml
	python3 -m venv $(VENV)
	$(PY) -m pip install -q --upgrade pip
	$(PY) -m pip install -q -e '.[dev]'
	$(PY) -m pip install -q --no-deps picamera2
	touch $@

# What few targets need is installed by them alone: the extras of pyproject.toml.
$(VENV)/.with-%: $(STAMP)
	$(PY) -m pip install -q -e '.[$*]'
	touch $@

system:
	@.ci/system-packages $(SYSTEM_PACKAGES)

clean:  ## remove the environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info

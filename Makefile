# Two commands do everything: `make report` and `make test`. Each sets up what it needs, once.
PYTHON ?= python3
VENV := .venv
# The environment is good as long as lock and Python stay the same; the stamp carries both in its name.
digest = $(shell { cat $(1) pyproject.toml; $(PYTHON) -VV; } | cksum | cut -d' ' -f1)
RUN_STAMP := $(VENV)/.run-$(call digest,requirements.lock)
TEST_STAMP := $(VENV)/.test-$(call digest,requirements-test.lock)

.PHONY: report test test-full examples bench lock clean
report: $(RUN_STAMP)
	$(VENV)/bin/ltv-report run params/demo.yaml

test: $(TEST_STAMP)
	$(VENV)/bin/python -m pytest -m "not long"

test-full: $(TEST_STAMP)
	$(VENV)/bin/python -m pytest

examples: $(TEST_STAMP)
	$(VENV)/bin/ltv-report run params/cdnow.yaml
	$(VENV)/bin/ltv-report run params/grocery.yaml

bench: $(TEST_STAMP)
	$(VENV)/bin/python tests/bench.py
	$(VENV)/bin/python tests/bench_models.py

$(RUN_STAMP):
	test -f $(TEST_STAMP) || $(MAKE) --no-print-directory install LOCK=requirements.lock
	touch $@

$(TEST_STAMP):
	$(MAKE) --no-print-directory install LOCK=requirements-test.lock
	touch $@

.PHONY: install
install:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12 report"; exit 1; }
	@rm -rf $(VENV)/.run-* $(VENV)/.test-*
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .

# Needs uv on the path; writes no address of a package index.
LOCK_FLAGS := --universal --python-version 3.11 --generate-hashes --no-header --quiet
lock:
	uv pip compile $(LOCK_FLAGS) --extra build pyproject.toml -o requirements.lock
	uv pip compile $(LOCK_FLAGS) --extra test -c requirements.lock pyproject.toml -o requirements-test.lock

clean:
	rm -rf $(VENV) outputs/.work

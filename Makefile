# `make demo` and `make test` set everything up themselves, from Python 3.11 to 3.13 and make alone:
# a virtual environment in .venv, filled from requirements.lock. PYTHON=... picks the interpreter.

VENV := .venv
WORKERS := 2
RUN := $(VENV)/bin
PIP := -m pip --disable-pip-version-check --no-input

# Shell text that sets $$python to a suitable interpreter. Each candidate is tried, not only looked
# up: a name on PATH may be a launcher without the version behind it, or lack the venv module.
define find_python
python=; \
if [ -n "$$PYTHON" ]; then set -- "$$PYTHON"; \
else set -- python3.13 python3.12 python3.11 python3 python; fi; \
for candidate in "$$@"; do \
  if "$$candidate" -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
    >/dev/null 2>&1; then python=$$candidate; break; fi; \
done; \
if [ -z "$$python" ]; then \
  echo "hedgezoo needs Python 3.11, 3.12 or 3.13 with its venv module; none works among: $$*" >&2; \
  echo "Install one (on Debian and Ubuntu also the package python3-venv), or name it: make PYTHON=..." >&2; \
  exit 1; \
fi
endef

export PYTHON
unexport PYTHONPATH

.PHONY: help demo test lint setup readme lock bench clean

help:
	@echo "make demo   hedge a sold option with a pretrained network, beside today's methods"
	@echo "make test   lint and run the whole test suite in two processes; WORKERS=1 in one, and"
	@echo "            PYTEST_ARGS=... are passed on"
	@echo "make lint   ruff only; make lint FIX=1 repairs what it can"
	@echo "make bench  compare speed and memory with PFHedge, in an environment of its own"
	@echo "make readme  bring the table of presets in the README up to date"
	@echo "make lock   rewrite requirements.lock from pyproject.toml; UPGRADE=1 takes newest versions"
	@echo "make clean  remove the environments and everything built"

demo: setup
	@$(RUN)/hedgezoo demo $(DEMO_ARGS)

# -P keeps the checkout, whose folder datasets/ would shadow a package of that name, off sys.path.
# A file of tests stays in one process: its fixtures train and export models.
test: lint
	@$(RUN)/python -P -m pytest --numprocesses $(WORKERS) --dist loadfile $(PYTEST_ARGS)

lint: setup
	@$(RUN)/ruff check $(if $(FIX),--fix) .
	@$(RUN)/ruff format $(if $(FIX),,--check) .

setup: $(VENV)/.installed

# The stamps are written last, so that an interrupted set-up starts again.
$(VENV)/.locked: requirements.lock
	@$(find_python); \
	echo "Setting up $(VENV) with $$("$$python" --version) (once; TensorFlow is a large download)"; \
	"$$python" -m venv --clear $(VENV)
	@$(RUN)/python $(PIP) install --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.installed: $(VENV)/.locked pyproject.toml
	@$(RUN)/python $(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

readme: setup
	@$(RUN)/python -P -c "from pathlib import Path; from hedgezoo.cards import readme_text; \
	  path = Path('README.md'); path.write_text(readme_text(path.read_text()))"

# One file for all platforms and Python versions; uv writes hashes and no index addresses.
lock:
	@$(find_python); "$$python" -m venv --clear .venv-lock
	@.venv-lock/bin/python $(PIP) install --quiet uv
	@.venv-lock/bin/uv pip compile pyproject.toml --group dev --quiet --universal \
	  --python-version 3.11 --fork-strategy fewest --generate-hashes \
	  --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade) --output-file requirements.lock
	@rm -rf .venv-lock

# The peer's dependencies contradict the lock, hence an environment of its own.
.venv-bench/.installed: pyproject.toml
	@$(find_python); "$$python" -m venv --clear .venv-bench
	@.venv-bench/bin/python $(PIP) install --editable '.[benchmark]'
	@touch $@

bench: .venv-bench/.installed
	@for script in $(filter-out %_peer.py,$(wildcard tests/benchmarks/*.py)); do \
	  echo "== $$script"; .venv-bench/bin/python -P "$$script" || exit 1; \
	done

clean:
	rm -rf .venv .venv-lock .venv-bench build dist demo *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# All commands of the project; `make` lists them. Everything is installed below .venv, all state
# lies below var (or where GATEHOUSE_HOME says). Paths are relative: the folder may have spaces.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
# There while packages are being installed. A set-up that finds it begins with an empty .venv.
UNFINISHED := $(VENV)/unfinished
PIP := $(PY) -m pip --disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev python models demo chromium test lint fuzz bench bench-gallery bench-kiosks lock clean

help: ## list the commands
	@echo "Gatehouse. First: make demo"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

setup: ## install what Gatehouse needs to run: packages and models
	@$(call install,requirements.lock)
	@$(MAKE) --no-print-directory models

setup-dev: ## install what developing needs, too
	@$(call install,requirements-dev.lock)
	@$(MAKE) --no-print-directory models

models:
	@$(PY) -m recognition fetch-models

demo: ## set up, start everything, show a walk-past, stay up (ONCE=1: check it and exit; PORT=8000)
	@began=$$(date +%s) && $(MAKE) --no-print-directory setup >&2 && \
		exec $(PY) manage.py demo --setup-began "$$began" --port $(or $(PORT),8000) $(if $(ONCE),--once)

test: setup-dev chromium ## run all tests, a real browser among them (ARGS="..." for pytest)
	@$(PY) -m pytest $(ARGS)

# A browser that cannot be had is an error, never a skipped test.
chromium:
	@set -e; for name in chromium chromium-browser google-chrome google-chrome-stable; do \
		if command -v "$$name" >/dev/null; then exit 0; fi; \
	done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Chromium for the browser tests"; \
		apt-get update -q; DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium; \
	else \
		$(PY) -m playwright install chromium; \
	fi

lint: ## check style, types and the import direction
	@$(call install,requirements-dev.lock)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy .
	@$(PY) -c 'import sys; from importlinter.cli import lint_imports_command as run; sys.exit(run())'

fuzz: setup-dev ## feed hostile images and messages, and write docs/benchmarks (INPUTS=100000 SEED=1)
	@$(call measured,$(PY) -m tests.fuzz --inputs $(or $(INPUTS),100000) --seed $(or $(SEED),1),fuzz)

bench: setup ## measure, and write docs/benchmarks (LFW=folder, LIVE=folder, CLIPS=folder: on these, too)
	@mkdir -p docs/benchmarks
	@$(call measured,$(PY) -m recognition bench --json,pipeline)
	@$(call measured,$(PY) -m recognition bench --peers --json $(if $(LFW),--images LFW="$(LFW)/images") \
		$(if $(LIVE),--images live="$(LIVE)") $(if $(CLIPS),--clips clips="$(CLIPS)"),peers)
	@$(call measured,$(PY) manage.py bench_stream --json $(if $(CLIPS),--clips "$(CLIPS)"),stream)
	@$(if $(CLIPS),$(call measured,$(PY) -m recognition evaluate presentations --json --clips "$(CLIPS)" \
		$(if $(LFW),--gallery "$(LFW)/images") --report var/benchmarks/presentations,presentations))
	@$(if $(LFW),$(call measured,$(PY) -m recognition evaluate verification --json \
		--images "$(LFW)/images" --pairs "$(LFW)/pairs.txt" --report var/benchmarks/verification,verification))

bench-gallery: setup ## search large galleries, and write docs/benchmarks (while manage.py up runs)
	@$(call measured,$(PY) manage.py bench_gallery --templates 1000000 --sites 100 --load 30 --json,gallery)
	@$(call measured,$(PY) manage.py bench_gallery --templates 100000 --sites 1 --load 30 --json,gallery-one-site)
	@$(call measured,$(PY) manage.py bench_gallery --templates 1000000 --sites 1000 --growth --json,gallery-growth)

bench-kiosks: setup ## simulate 50 kiosks, and write docs/benchmarks (FACES=folder: with these people)
	@$(call measured,$(PY) manage.py bench_kiosks --json --plot docs/benchmarks/kiosks.svg \
		$(if $(FACES),--faces "$(FACES)"),kiosks)

lock: ## resolve the packages anew into the lock files (UPGRADE=1: to their newest versions)
	@$(check_python)
	@set -e; tools=$$(mktemp -d); trap 'rm -rf "$$tools"' EXIT; \
		"$(PYTHON)" -m venv "$$tools/venv"; \
		"$$tools/venv/bin/python" -m pip install --quiet --disable-pip-version-check pip-tools; \
		for pair in "requirements.lock:" "requirements-dev.lock:--extra=dev --extra=train"; do \
			lock=$${pair%%:*}; extra=$${pair#*:}; \
			cp "$$lock" "$$tools/resolved"; \
			"$$tools/venv/bin/python" -m piptools compile --quiet --strip-extras --allow-unsafe --no-header --no-annotate \
				--no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
				$(if $(UPGRADE),--upgrade) $$extra --output-file "$$tools/resolved" pyproject.toml; \
			{ echo "# Exact versions of all packages. Made by: make lock"; \
			  echo "# torch has no local version (+cpu, +cu130): the machine's package index decides."; \
			  sed -e '/^#/d' -e '/^$$/d' -e 's/^\(torch==[0-9.]*\)+.*/\1/' "$$tools/resolved"; \
			  echo "# redis needs it before Python 3.11.3, which is older than the Python that resolves."; \
			  echo "async-timeout==5.0.1 ; python_full_version < \"3.11.3\""; \
			} > "$$tools/lock"; \
			mv "$$tools/lock" "$$lock"; echo "$$lock: $$(grep -c == "$$lock") packages"; \
		done

clean: ## remove the virtual environment and caches; var, with all data, stays
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "Clean. Your data is still in var; remove it yourself if you want to lose it."

# Install a lock file into .venv, unless exactly that was done before.
#
# The stamp holds the lock file's checksum and is written last. What an interrupted run left is
# never trusted: pip cannot tell a half-unpacked package from a whole one. An existing .venv is
# touched only when everything new is known to be there, so that it survives a lost network.
define install
set -e; \
lock="$(1)"; stamp="$(VENV)/$(1).installed"; sum=$$(cksum < "$$lock"); \
if [ -e "$(UNFINISHED)" ]; then \
	echo "An earlier set-up was interrupted; beginning anew."; rm -rf "$(VENV)"; \
elif [ -d "$(VENV)" ] && ! "$(PY)" -c 'import pip' 2>/dev/null; then \
	echo "The Python of $(VENV) is gone; beginning anew."; rm -rf "$(VENV)"; \
fi; \
if [ "$$(cat "$$stamp" 2>/dev/null)" = "$$sum" ]; then exit 0; fi; \
if [ -d "$(VENV)" ]; then \
	echo "Looking for the packages of $$lock"; \
	$(PIP) install --quiet --dry-run --requirement "$$lock" >/dev/null; \
	touch "$(UNFINISHED)"; \
else \
	$(check_python); \
	echo "Creating a virtual environment in $(VENV)"; \
	mkdir "$(VENV)"; touch "$(UNFINISHED)"; \
	"$(PYTHON)" -m venv "$(VENV)"; \
fi; \
echo "Installing the packages of $$lock (the first time this takes minutes)"; \
$(PIP) install --requirement "$$lock"; \
echo "$$sum" > "$$stamp"; rm "$(UNFINISHED)"
endef

# Run $(1) and keep its last line, one JSON object, as docs/benchmarks/$(2).json.
define measured
set -e; result=$$($(1)); printf '%s\n' "$$result" | tail -n 1 > "docs/benchmarks/$(2).json"; \
echo "docs/benchmarks/$(2).json"
endef

define check_python
command -v "$(PYTHON)" >/dev/null || { echo "There is no $(PYTHON). Install Python 3.11 or newer, or name one: make PYTHON=python3.12 ..." >&2; exit 1; }; \
"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is $$("$(PYTHON)" --version), Gatehouse needs 3.11 or newer. Name another: make PYTHON=python3.12 ..." >&2; exit 1; }; \
"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) comes without venv. Install it (Debian, Ubuntu: apt install python3-venv)." >&2; exit 1; }
endef

# One claim is experiments/<claim>.py -> results/<scale>/<claim>.csv -> paper_figures/<claim>.py -> figures/<scale>/<claim>.pdf
# (with its .png, .csv and .txt). Claims are found by name: a new one is two new files and no edit here.

# A file as goal says its scale itself: make figures/smoke/sawtooth.pdf
SCALE ?= $(firstword $(filter smoke laptop paper,$(subst /, ,$(MAKECMDGOALS))) laptop)
PYTHON ?= python3

ifeq ($(filter $(SCALE),smoke laptop paper),)
$(error SCALE must be smoke, laptop or paper, got '$(SCALE)')
endif

claims := $(patsubst experiments/%.py,%,$(wildcard experiments/*.py))
pictured := $(patsubst paper_figures/%.py,%,$(wildcard paper_figures/*.py))
tables := $(claims:%=results/$(SCALE)/%.csv)
stamps := $(claims:%=results/$(SCALE)/%.stamp)
pictures := $(pictured:%=figures/$(SCALE)/%.pdf)

python := .venv/bin/python
drawing := $(patsubst %,widththeory/%.py,plotting estimates censored image_tasks verdicts command)
bounds := $(wildcard widththeory/bounds/*.py)
gallery := $(wildcard widththeory/gallery/*.py widththeory/gallery/templates/*)
library := $(filter-out $(drawing) $(gallery),$(wildcard widththeory/*.py widththeory/*/*.py))

# A copied clone brings its .venv along, which would import the package from the old place.
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
ifeq ($(filter made-%,$(MAKECMDGOALS)),)
.NOTPARALLEL: # `pictures` sees to it that all cores are used
endif
.PHONY: help figures pictures results test lint bench torture plan data docs clean

help: ## Show this list.
	@echo 'Targets (SCALE=smoke, laptop or paper; now $(SCALE)):'
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

figures: .venv/requirements.txt ## Draw every figure and the gallery; below paper scale, first fit what is missing.
	@status=0; $(MAKE) --silent --no-print-directory pictures || status=1; \
	$(MAKE) --silent --no-print-directory figures/$(SCALE)/index.html || status=1; \
	test ! -f figures/$(SCALE)/summary.txt || \
		{ cat figures/$(SCALE)/summary.txt; echo 'gallery: open figures/$(SCALE)/index.html'; }; exit $$status

# Claims are made side by side, each with its share of the cores: what one does by a single core (theory, its last fits,
# its figure) is beside the fits of another. In the alphabet's reverse order the longest is neither the first nor the last.
# Those that measure times come after, each alone. A claim that fails is named at the end, and the others are made.
lost := figures/$(SCALE)/.not-made
alone := $(patsubst experiments/%.py,%,$(shell grep -l '^ALONE = True' experiments/*.py))
together := $(shell printf '%s\n' $(filter-out $(alone),$(pictured)) | sort -r)
# A share of one core is fitted in the experiment's own process, with the threads that worker processes have, so that rows
# are theirs to the bit.
one_thread := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 PJRT_NPROC=1
SHARE := # not from the environment
pictures: .venv/requirements.txt
	@mkdir -p $(dir $(lost)); : >$(lost); set -- $$($(python) -m widththeory.processes || echo 1 1); status=0; \
	if test $$1 -gt 1; then \
		$(one_thread) $(MAKE) --silent --no-print-directory -j$$1 SHARE="--jobs $$2 --log plain" pictures-done $(together:%=made-%); \
	else $(MAKE) --silent --no-print-directory -j1 pictures-done $(together:%=made-%); fi || status=1; \
	$(MAKE) --silent --no-print-directory -j1 pictures-done $(patsubst %,made-%,$(filter $(alone),$(pictured))) || status=1; \
	failed=$$(sort $(lost) | tr '\n' ' '); rm $(lost); \
	if test -n "$$failed"; then echo "$@: not made at scale $(SCALE): $$failed(the reasons are above)" >&2; status=1; fi; \
	test $$status -ne 0 || echo "$@: $(words $(pictured)) of $(words $(pictured)) up to date in figures/$(SCALE)"; \
	exit $$status

# Two makes, so that a figure is of the tables that the first has written.
.PHONY: $(pictured:%=made-%) pictures-done
$(pictured:%=made-%): made-%:
	@$(MAKE) --silent --no-print-directory results/$(SCALE)/$*.csv && \
	$(MAKE) --silent --no-print-directory figures/$(SCALE)/$*.pdf || echo $* >>$(lost)
pictures-done: # a goal where all claims want to be alone, or none

results: .venv/requirements.txt ## Fit what is missing, at paper scale too, and write the tables.
	@failed=; for claim in $(claims); do \
		$(MAKE) --silent --no-print-directory results/$(SCALE)/$$claim.stamp || failed="$$failed $$claim"; \
	done; \
	if test -n "$$failed"; then echo "$@: not made at scale $(SCALE):$$failed (the reasons are above)" >&2; exit 1; fi; \
	echo "$@: $(words $(claims)) of $(words $(claims)) up to date in results/$(SCALE)"

test: .venv/requirements-dev.txt .venv/requirements-docs.txt ## Run the tests.
	$(python) -m pytest -n 2 --dist loadgroup

lint: .venv/requirements-dev.txt ## Check format, rules and types.
	$(python) -m ruff format --check .
	$(python) -m ruff check .
	$(python) -m mypy

torture: .venv/requirements-dev.txt ## Kill, fill and share at random moments, many times: is anything lost?
	$(python) tests/torture/torture.py

bench: .venv/requirements-bench.txt ## Time the fit engine beside PyTorch; BENCH=--quick for a part of the grid.
	@status=0; for script in tests/bench/*.py; do echo "$$script"; $(python) $$script $(BENCH) || status=1; done; exit $$status

plan: .venv/requirements.txt ## List the fits that are missing, and the time they will take.
	@$(python) -m widththeory plan --scale $(SCALE)

data: .venv/requirements.txt ## Fetch CIFAR-10, Fashion-MNIST and trained first layers; figures below paper scale need none.
	@$(python) -m widththeory.images fetch

docs: .venv/requirements-docs.txt ## Build the documentation, without network, in build/docs.
	@$(python) -m sphinx --quiet --fail-on-warning --keep-going docs build/docs
	@echo 'docs: open build/docs/index.html'

clean: ## Remove the figures of SCALE and all caches; tables, ledgers and .venv stay.
	rm -rf figures/$(SCALE) build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -path ./.venv -prune -o -name __pycache__ -exec rm -rf {} +

# The installed requirements, copied when pip has done: a .venv without the copy is not ready. A new date without a new
# content (another branch checked out, say) does not run pip again.
.venv/requirements.txt: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	@cmp -s $< $@ || { echo 'installing $< in .venv (a minute or two)' && \
		$(PYTHON) -m venv .venv && \
		$(python) -m pip install --quiet --no-compile --requirement $< && \
		$(python) -m pip install --quiet --no-deps --no-build-isolation --editable . && \
		{ $(python) -m compileall -qq -j 0 -x /tests/ .venv/lib widththeory || :; }; }
	@cp $< $@.part && mv $@.part $@

.venv/requirements-%.txt: requirements-%.txt .venv/requirements.txt
	@cmp -s $< $@ || { echo 'installing $< in .venv' && $(python) -m pip install --quiet --requirement $<; }
	@cp $< $@.part && mv $@.part $@

# The stamp is the date of the last run; the table changes only when its numbers do, and with it the figure.
$(stamps): results/$(SCALE)/%.stamp: experiments/%.py $(library) | .venv/requirements.txt
	@echo '$*: fitting what is missing at scale $(SCALE)'
	@$(python) $< --scale $(SCALE) $(SHARE)
	@test -f results/$(SCALE)/$*.csv || { echo '$<: wrote no results/$(SCALE)/$*.csv' >&2; exit 1; }
	@touch $@.part && mv $@.part $@

ifeq ($(SCALE),paper)
# Paper-scale tables come with the repository; only `make results` computes them.
$(tables):
	@echo '$@ is not there: `make results SCALE=paper` computes it, `make plan SCALE=paper` says how long' >&2; exit 1
else
$(tables): %.csv: %.stamp
	@test -f $@ || { rm $< && $(MAKE) --silent --no-print-directory $<; }
endif

# From what there is: a figure that could not be made is named on the page.
figures/$(SCALE)/index.html: $(filter-out %/widththeory.pdf,$(wildcard figures/$(SCALE)/*.pdf)) $(gallery) \
		$(wildcard experiments/*.py) | .venv/requirements.txt
	@$(python) -m widththeory.gallery --scale $(SCALE) >/dev/null

# A claim may have further tables, results/<scale>/<claim>.<part>.csv.
.SECONDEXPANSION:
$(pictures): figures/$(SCALE)/%.pdf: paper_figures/%.py results/$(SCALE)/%.csv $(drawing) $(bounds) \
		$$(wildcard results/$(SCALE)/$$*.*.csv) | .venv/requirements.txt
	@$(python) $< --scale $(SCALE)

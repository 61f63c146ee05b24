# `make demo` and `make test` need nothing but Python 3.11 or later: each sets up .venv first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TRAIN := OMP_NUM_THREADS=1 $(BIN)/torchrun --standalone --nproc_per_node 2 -m kosmos_eval.model.training

.PHONY: demo gate baseline test lint format types docs bench train train-smoke clean

demo: $(READY)
	$(BIN)/kosmos-eval run --tasks vqav2,raven --shots 0,4 $(if $(RUN),--output_path $(RUN))

# `make demo gate RUN=folder` holds the embedded model to the committed baseline; `make demo baseline RUN=folder` renews that.
gate: $(READY)
	$(BIN)/kosmos-eval gate $(RUN) --baseline examples/ci/baseline.json --policy examples/ci/gate.toml

baseline: $(READY)
	$(BIN)/kosmos-eval baseline save $(RUN) --output_path examples/ci/baseline.json

test: $(READY)
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(READY)
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/python docs/make_reference.py
	$(BIN)/python docs/make_model_cards.py
	$(BIN)/python docs/make_benchmarks.py

bench: $(READY)
	$(BIN)/python benchmarks/page.py --run

train: $(READY)
	$(TRAIN) model/training/configs/kosmos-tiny-tower.toml
	$(TRAIN) model/training/configs/kosmos-tiny-scenes.toml
	$(TRAIN) model/training/configs/kosmos-tiny-kinds.toml
	$(TRAIN) model/training/configs/kosmos-tiny-base.toml
	$(TRAIN) model/training/configs/kosmos-tiny.toml
	$(TRAIN) model/training/configs/kosmos-tiny-lm-scenes.toml
	$(TRAIN) model/training/configs/kosmos-tiny-lm-kinds.toml
	$(TRAIN) model/training/configs/kosmos-tiny-lm.toml

train-smoke: $(READY)
	$(BIN)/python -m kosmos_eval.model.training model/training/configs/smoke.toml

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .coverage

# `make help` lists the tasks. Each makes what it needs first. Everything else is a command: `python -m cxr` lists them.
PYTHON ?= python3
BUNDLE ?= models/chest_xray
BIN := $(CURDIR)/.venv/bin
export PATH := $(BIN):$(PATH)
# One process per core, one thread per process. The tests of a file stay together and share fixtures. tests/conftest.py
# orders the files, the longest first, so that no core waits at the end.
PYTEST = OMP_NUM_THREADS=1 pytest --numprocesses logical --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup repro restore experiments report predict serve official-test test test-journeys test-slow test-real lint format lock licences audit segmenter remote wheels drill image

help:  ## list the tasks
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.venv/.installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.txt
	$(BIN)/python -m cxr setup-plots
	@touch $@

.venv/.installed-dev: .venv/.installed requirements-dev.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements-dev.txt
	@touch $@

setup: .venv/.installed  ## make .venv with everything of requirements.txt

repro: .venv/.installed  ## run the whole pipeline
	python -m cxr repair  # files that a killed DVC left half-written
	dvc repro

RESULTS = params.yaml dvc.lock metrics plots models/operating_point.json
restore: .venv/.installed  ## restore the parameters and results of the last commit
	python -m cxr repair
	git ls-files -z $(RESULTS) | xargs -0 rm -f  # Git misses an edit within one tick of the clock
	git checkout HEAD -- $(RESULTS)
	dvc checkout --allow-missing

# --only-changed hides columns that are equal in all rows; --keep shows the metrics in a clone without experiments, too.
experiments: .venv/.installed  ## compare experiments: the headline metrics, and the parameters that differ
	dvc exp show --only-changed --no-pager --drop 'Created|.*(low|high|auprc|f1|accuracy|ece|lungs|/).*' \
	  --keep '.*(test\.(auroc|sensitivity|specificity)|val\.auroc)$$'

report: .venv/.installed  ## write reports/report.md and .html, compared with BASE=main
	python -m cxr report --base $(or $(BASE),main)

predict: .venv/.installed  ## predict the films in FILMS=folder with BUNDLE=models/chest_xray -> reports/predictions.csv
	@test -n "$(FILMS)" || { echo "error: FILMS is missing; make predict FILMS=folder" >&2; exit 1; }
	python -m cxr predict "$(FILMS)" --bundle "$(BUNDLE)" --out $(or $(OUT),reports/predictions.csv)

serve: .venv/.installed  ## serve BUNDLE=models/chest_xray on http://127.0.0.1:8080
	python -m cxr serve --bundle "$(BUNDLE)"

official-test: .venv/.installed  ## score the labelled FILMS=folder (NORMAL/, PNEUMONIA/) with a frozen BUNDLE=models/chest_xray
	@test -n "$(FILMS)" || { echo "error: FILMS is missing; make official-test FILMS=folder" >&2; exit 1; }
	python -m cxr validate --films "$(FILMS)" --bundle "$(BUNDLE)" --patient '(person\d+|(NORMAL2-)?IM-\d+)'

test: .venv/.installed-dev lint  ## check the code and run the tests
	$(PYTEST)

test-journeys: .venv/.installed-dev  ## run the end-to-end tests of README, pipeline and jobs, as CI does
	$(PYTEST) -m "journey and not slow"

test-slow: .venv/.installed-dev  ## run all tests, including the slow ones
	$(PYTEST) -m "not real"

test-real: .venv/.installed-dev  ## run the tests on real films in CXR_REAL_DATA
	$(PYTEST) -m real

lint: .venv/.installed-dev  ## ruff and mypy
	ruff check .
	ruff format --check .
	mypy

format: .venv/.installed-dev  ## format the code
	ruff check --fix .
	ruff format .

lock: .venv/.installed-dev  ## rewrite the lock files from requirements*.in
	$(foreach set,requirements requirements-prepare requirements-train requirements-serve requirements-mlflow requirements-hub requirements-dicom requirements-dev,\
	  uv pip compile --quiet --no-header --universal --python-version 3.11 $(set).in -o $(set).txt &&) true

licences: .venv/.installed-dev  ## write reports/licences.md from the installed packages
	python -m scripts.licences

audit: .venv/.installed-dev  ## check the pinned packages against the advisory database
	python -m scripts.audit

remote: .venv/.installed  ## make URL=s3://bucket/prefix the DVC remote (ENDPOINT=https://… for an S3-compatible store)
	@test -n "$(URL)" || { echo "error: URL is missing; make remote URL=s3://bucket/prefix" >&2; exit 1; }
	dvc remote add --default --force storage "$(URL)"
	$(if $(ENDPOINT),dvc remote modify storage endpointurl "$(ENDPOINT)")

segmenter: .venv/.installed  ## retrain the lung segmenter and copy it to models/
	cd segmenter && dvc repro
	cp segmenter/work/lung_segmenter_int8.onnx models/lung_segmenter.onnx

# torch, its CUDA libraries and torchvision are in AWS's image; MLflow is used only on this side. Wheels are resolved for
# the image's Python, whatever runs here; the pure-Python package that publishes none is built, with a fixed date.
IMAGE_PYTHON ?= 3.12
SOURCE_ONLY := antlr4-python3-runtime
TAGS := $(foreach tag,manylinux_2_28 manylinux_2_17 manylinux2014,--platform $(tag)_x86_64)
FETCH := $(BIN)/python -m pip --quiet --disable-pip-version-check
wheels: .venv/.installed  ## download the packages sent with a SageMaker job (docs/aws.md)
	rm -rf wheels
	mkdir -p wheels
	grep -vE '^(mlflow-skinny|torchvision)$$' requirements-train.in \
	  | uv pip compile --quiet --no-header --no-annotate --constraint requirements.txt \
	      --python-version $(IMAGE_PYTHON) --python-platform x86_64-manylinux_2_28 - \
	  | grep -vE '^(torch|torchvision|triton|nvidia-[a-z0-9-]+|cuda-[a-z]+)(\[.*\])?==' > wheels/requirements.txt
	grep -v '^$(SOURCE_ONLY)==' wheels/requirements.txt > wheels/published.txt
	$(FETCH) download --no-deps --only-binary=:all: --python-version $(IMAGE_PYTHON) $(TAGS) --dest wheels -r wheels/published.txt
	SOURCE_DATE_EPOCH=315532800 $(FETCH) wheel --no-deps --wheel-dir wheels $$(grep '^$(SOURCE_ONLY)==' wheels/requirements.txt)
	rm wheels/published.txt

IMAGE_INTERPRETER = $(or $(shell uv python find --quiet $(IMAGE_PYTHON) 2>/dev/null),\
  $(lastword $(wildcard $(HOME)/.pyenv/versions/$(IMAGE_PYTHON).*/bin/python)),$(IMAGE_PYTHON))
drill: .venv/.installed-dev wheels data/shards  ## train the demo in the environment of AWS's image: its Python, torch, no network
	uv venv --quiet --clear --seed --python $(IMAGE_INTERPRETER) .cache/image
	uv pip install --quiet --python .cache/image/bin/python $$(grep -oE '^(torch|torchvision)==[0-9.]+' requirements.txt)
	python -m tests.aws.drill .cache/image/bin/python

# CreateModel takes one Docker manifest of version 2 for linux/amd64: no OCI index, which provenance would make of it.
image:  ## build the serving image cxr-serve, and push it to CXR_SERVING_IMAGE where that is set
	docker buildx build --platform linux/amd64 --provenance=false --sbom=false --output type=docker \
	  -f docker/Dockerfile -t cxr-serve .
	$(if $(CXR_SERVING_IMAGE),docker tag cxr-serve "$(CXR_SERVING_IMAGE)")
	$(if $(CXR_SERVING_IMAGE),docker push "$(CXR_SERVING_IMAGE)")

data/shards:
	dvc repro shard

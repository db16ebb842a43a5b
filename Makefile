# The Python that .venv was made with, else the one at hand; PYTHON=python3.12 chooses another.
PYTHON ?= $(or $(realpath .venv/bin/python),python3)
# What `make demo` plays: a file, or `live` for webcam and microphone. Empty: a real clip, fetched once.
CLIP ?=
# Where `make demo` writes.
OUT ?= out/demo

PREPARE = $(PYTHON) environment/prepare.py
RUN = environment/run
# A graph of its own for each run, beside any other on this machine.
OWN_GRAPH = ROS_DOMAIN_ID=$${ROS_DOMAIN_ID:-$$(($$$$ % 100 + 1))}

.DEFAULT_GOAL := help
.PHONY: help setup test-setup demo test bench lint clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## make .venv and build the workspace (quick when nothing changed)
	@$(PREPARE) $(if $(filter live,$(CLIP)),--live)

test-setup:  ## the same, with what tests and training need
	@$(PREPARE) --tests

demo: setup  ## play a clip through the ROS graph; CLIP=file or CLIP=live, OUT=folder
	@$(OWN_GRAPH) $(RUN) python -m emotion_bringup.demo --out "$(OUT)" $(if $(CLIP),--clip "$(CLIP)")

test: test-setup  ## run all tests
	@$(OWN_GRAPH) $(RUN) python -m pytest

bench: test-setup  ## measure every stage of the robot on one core, and the loading of training data
	@$(RUN) python -m emotion_bringup.benchmark
	@$(OWN_GRAPH) $(RUN) python -m pytest -m bench -s

lint: test-setup  ## ruff, its format, and mypy on the core
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy

clean:  ## remove everything that the other targets made
	rm -rf .venv build install log out .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

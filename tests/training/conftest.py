"""Makes the models to train, which are also programs of their own, available to the tests."""

import importlib.util
from pathlib import Path

import pytest


def module(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="session")
def toy():
    return module("toy")


@pytest.fixture(scope="session")
def tiny():
    return module("tiny")

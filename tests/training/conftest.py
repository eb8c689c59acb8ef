"""Makes the models to train, which are also programs of their own, available to the tests."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def toy(loaded):
    return loaded(Path(__file__).with_name("toy.py"))


@pytest.fixture(scope="session")
def tiny(loaded):
    return loaded(Path(__file__).with_name("tiny.py"))

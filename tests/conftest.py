"""Every test runs in float64 with a forked, seeded random state, unless it asks otherwise."""

import ctypes.util
import importlib.util
import os
import shutil
import sysconfig
from pathlib import Path

import pytest
import torch

from pointgen import devices


def _open3d_loads():
    from pointgen.geometry.libraries import load_open3d

    try:
        load_open3d()
    except ImportError:
        return False
    return True


def _c_compiles():
    """Whether torch.compile can build for a CPU."""
    headers = Path(sysconfig.get_path("include"), "Python.h")
    return shutil.which("c++") is not None and headers.exists()


# What a test may need of the system, and whether it is there.
NEEDS = {
    "chromium": lambda: shutil.which("chromium") is not None,
    "open3d": _open3d_loads,
    "xvfb": lambda: shutil.which("Xvfb") is not None,
    "xtest": lambda: ctypes.util.find_library("Xtst") is not None,  # key strokes
    "c++": _c_compiles,
    "pytorch3d": lambda: importlib.util.find_spec("pytorch3d") is not None,
}
OPTIONAL = {"pytorch3d", "c++"}  # may be missing even where everything is to be tested


def pytest_addoption(parser):
    parser.addoption(
        "--device",
        choices=("cpu", "cuda", "apart"),
        default="cpu",
        help="Where the verbs, trainings and laws of models compute (see tests/apart.py).",
    )


def pytest_configure(config):
    devices.PLAIN = config.getoption("device")
    if devices.PLAIN == "apart":
        load(Path(__file__).with_name("apart.py")).install()


def load(path):
    """Load a module that stands beside the tests."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="session")
def loaded():
    return load


@pytest.fixture(scope="session")
def device(request):
    return torch.device(request.config.getoption("device"))


def pytest_runtest_setup(item):
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            if NEEDS[name]():
                continue
            # In CI the system packages are installed, so a missing one is a failure there.
            if os.environ.get("POINTGEN_NO_SKIPS") and name not in OPTIONAL:
                pytest.fail(f"needs {name}, which is not installed")
            pytest.skip(f"needs {name}")


@pytest.fixture(autouse=True)
def _double_and_seeded():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
    torch.set_default_dtype(before)

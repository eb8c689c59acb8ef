"""README's commands and its notebook, run as they stand, on a small run in place of the demo's."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.M | re.S)


@pytest.fixture
def at_home(run, tmp_path, monkeypatch):
    """A folder that looks like the project after the demo."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(run)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_first_two_commands_set_up_the_same_way():
    demo, tests = blocks("bash")[:2]
    assert demo.strip().endswith("pointgen demo") and tests.strip().endswith("pytest")
    assert tests.replace("[dev]", "").replace('"."', ".").splitlines()[0] == demo.splitlines()[0]


def test_the_commands_after_the_demo(at_home, pointgen):
    after_the_demo = [text for text in blocks("bash") if "runs/demo" in text]
    for line in "".join(after_the_demo).strip().splitlines():
        program, *arguments = shlex.split(line.replace("-n 100", "-n 8"))
        assert program == "pointgen"
        result = pointgen(*arguments)
        assert result.status == 0, (line, result.err)
    assert np.load("chairs.npy").shape == (8, 2048, 3)
    assert {path.suffix for path in at_home.iterdir()} >= {".npy", ".png", ".html"}


def test_the_notebook(at_home, monkeypatch):
    shown = []
    monkeypatch.setattr("pointgen.view.window.show", lambda clouds, **rest: shown.append(clouds))
    (block,) = blocks("python")
    names: dict = {}
    exec(block.replace("data.num_points=2048", "data.num_points=64"), names)
    assert names["clouds"].shape == (16, 2048, 3)
    assert (at_home / "chair.ply").is_file() and shown[0].shape == (4, 2048, 3)


def test_pictures_and_configs_exist():
    for path in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / path).is_file(), path
    for name in re.findall(r"configs/(\w+\.toml)", README):
        assert (ROOT / "configs" / name).is_file(), name

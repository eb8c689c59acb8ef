import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from pointgen.view import show
from pointgen.view.label import label
from pointgen.view.window import Window, WindowError

# A window dies with its process if the graphics driver does, so it gets a process of its own.
SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np
from keyboard import Keyboard
from pointgen.view.beside import Beside
from pointgen.view.clouds import Shape
from pointgen.view.window import Window, show

torus, chair = np.load(sys.argv[1])
noise = np.random.default_rng(0).normal(size=torus.shape) * 0.4
triangle = (np.eye(3), np.array([[0, 1, 2]]))
shapes = [Shape(torus, frames=np.stack([noise, torus])), Shape(chair, surface=triangle)]
seen, result = {}, {}
with Window(shapes, captions=["torus", "chair"]) as window:
    keyboard = Keyboard("pointgen")
    def look(name, *keys):
        for key in keys:
            keyboard.press(key)
            window.run(4)
        window.run(3)
        seen[name] = window.pixels().astype(int)
    look("grid"); look("again")
    look("surfaces off", "m")
    look("colours", "c"); look("depth", "c"); look("plain", "c"); look("colours again", "c")
    look("larger", *["plus"] * 4); result["size"] = window.point_size
    look("smaller", *["minus"] * 4)
    look("first", "n"); result["shown"] = window.scene.shown
    look("noise", *["Left"] * 20); result["time"] = window.scene.time
    window.press(" "); window.run(40); look("played"); result["played"] = window.scene.time
    look("dark", "b")
    look("back", "b", "b", "m", "p")
    look("saved", "s")
    try: window.press("X")
    except ValueError as error: result["unknown"] = str(error)
with (
    Window(torus, title="left", place=(0, 0, 400, 400)) as left,
    Window(chair, title="right", place=(400, 0, 400, 400)) as right,
):
    pair = Beside([left, right])
    pair.run(3)
    before = left.camera
    turn = np.diag([-1.0, 1.0, -1.0, 1.0])
    right.camera = before @ turn
    pair.run(3)
    result["followed"] = bool(np.allclose(left.camera, right.camera))
    result["turned"] = float(np.abs(left.camera - before).max())
show([torus, chair], frames=2)
result["drawn"] = {k: int((np.abs(v - 255).sum(2) > 30).sum()) for k, v in seen.items()}
result["tall"] = {k: int((np.abs(v - 255).sum(2) > 30).any(1).sum()) for k, v in seen.items()}
result["changed"] = {k: int((v != seen["grid"]).sum()) for k, v in seen.items()}
result["files"] = [path.name for path in Path().glob("*.png")]
Path("result.json").write_text(json.dumps(result))
"""


@contextmanager
def virtual_display():
    """The name of a display on a server that chose a free number itself."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1200x900x24"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        with os.fdopen(reading) as answer:
            yield f":{answer.readline().strip()}"
    finally:
        server.terminate()
        server.wait(timeout=10)


def run_script(folder, display):
    command = [sys.executable, "-c", SCRIPT, "clouds.npy"]
    paths = f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    environment = {**os.environ, "DISPLAY": display, "PYTHONPATH": paths}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=90
    )


@pytest.mark.needs("xvfb", "xtest")
def test_a_window_draws_and_answers_its_keys(torus, chair, tmp_path):
    np.save(tmp_path / "clouds.npy", np.stack([torus, chair]))
    with virtual_display() as display:
        done = run_script(tmp_path, display)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    drawn, changed = result["drawn"], result["changed"]
    assert drawn["grid"] > 3000
    assert changed["again"] == 0 and changed["back"] == 0 and changed["saved"] == 0
    for other in ("surfaces off", "colours", "depth", "plain"):
        assert changed[other] > 1000, other
    assert abs(drawn["colours"] - drawn["surfaces off"]) < 100
    assert drawn["larger"] > 1.3 * drawn["smaller"] and result["size"] > 7
    assert result["shown"] == 0 and drawn["first"] > 2000
    assert result["tall"]["first"] > 1.2 * result["tall"]["grid"]  # one alone is shown larger
    assert result["time"] == 0 and result["played"] == 1
    assert drawn["noise"] != drawn["first"] == drawn["played"]
    assert drawn["dark"] > 10 * drawn["first"]
    assert result["followed"] and result["turned"] > 0.5
    assert result["files"] == ["pointgen-view-001.png"]
    assert result["unknown"].startswith("key: expected one of")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="displays are named on Linux")
@pytest.mark.parametrize(
    ("display", "reason"), [("", "DISPLAY is not set"), (":98765", "does not answer")]
)
def test_without_a_display_the_error_says_what_works(torus, monkeypatch, display, reason):
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(WindowError, match=rf"{reason}.*--png.*--html|libx11-6.*--png.*--html"):
        show([torus])


def test_without_its_libraries_the_error_names_the_packages(torus, monkeypatch):
    monkeypatch.setattr("pointgen.view.display._answers_wayland", lambda: True)
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(WindowError, match=r"libusb-1\.0-0 libgl1 libegl1 libgomp1.*--png"):
        Window([torus])


def test_the_clouds_are_checked_before_anything_is_opened(torus):
    with pytest.raises(ValueError, match=r"clouds\[0\]"):
        Window([torus * np.nan])


def test_a_label_is_a_flat_line_of_points_in_the_width():
    short, long = label("torus", 2.0), label("t" * 100, 2.0)
    for points in (short, long):
        assert (points[:, 2] == 0).all() and (points[:, 1] <= 0).all()
        assert np.abs(points[:, 0]).max() <= 1
    assert np.ptp(short[:, 1]) > np.ptp(long[:, 1])
    assert label("  ", 2.0).shape == (0, 3)

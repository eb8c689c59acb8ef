"""Small shapes on disk and in memory for the tests of datasets."""

from pathlib import Path

import numpy as np
import pytest


class Listed:
    """A source of given clouds: half of each is its first pool, the rest its second."""

    def __init__(self, clouds, labels=None):
        self.clouds = [np.asarray(cloud, dtype=np.float32) for cloud in clouds]
        self.categories = ("thing", "other")
        self.ids = [f"shape{i}" for i in range(len(clouds))]
        self.labels = labels or [0] * len(clouds)

    def pools(self, index):
        half = len(self.clouds[index]) // 2
        return self.clouds[index][:half], self.clouds[index][half:]


@pytest.fixture(autouse=True)
def user_cache(tmp_path_factory, monkeypatch):
    """The user's cache folder, which is not that of the person who runs the tests."""
    folder = tmp_path_factory.mktemp("user-cache")
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(folder))
    return folder / "pointgen" / "surfaces"


@pytest.fixture
def listed():
    return Listed


@pytest.fixture
def write_cloud():
    """Write a random cloud as .npy and return it."""

    def write(path: Path, count: int = 60, seed: int = 0) -> np.ndarray:
        points = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, points)
        return points

    return write


@pytest.fixture
def write_mesh():
    """Write a box of given height as an OFF or OBJ file."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [(a, b, c) for a, b, c, _ in quads] + [(a, c, d) for a, _, c, d in quads]

    def write(path: Path, height: float = 1.0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [f"{x} {y * height} {z}" for x, y, z in corners]
        if path.suffix == ".off":
            triangles = [f"3 {a} {b} {c}" for a, b, c in faces]
            text = "\n".join(["OFF", f"{len(rows)} {len(faces)} 0", *rows, *triangles])
        else:
            triangles = [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in faces]
            text = "\n".join([*(f"v {row}" for row in rows), *triangles])
        path.write_text(text + "\n")
        return path

    return write

"""Surfaces through points of built-in shapes, by each method, beside the surfaces they come from.

python benchmarks/mesh.py [--shapes 2]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import trimesh
from scipy.spatial import cKDTree

from pointgen.datasets.procedural.shapes import make_shape
from pointgen.geometry.sampling import normals_at, sample_surface, spots_on, values_at
from pointgen.geometry.surface import surface_of

CATEGORIES = ("airplane", "car", "chair", "lamp", "mug", "table")
METHODS = {
    "poisson": {"method": "poisson"},
    "poisson, watertight": {"method": "poisson", "watertight": True},
    "pivot": {"method": "pivot"},
    "alpha": {"method": "alpha"},
    "poisson, true normals": {"method": "poisson"},
}
COMPARED = 30_000  # points of either surface


def main() -> None:
    """Print a row for each method and number of points, averaged over shapes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", type=int, default=2, help="of each category")
    options = parser.parse_args()
    print("| points | method | CD x 1e3 | closed | seconds |\n| --- | --- | --- | --- | --- |")
    for count in (2048, 20_000):
        for name, how in METHODS.items():
            rows = [
                judged(category, seed, count, told="normals" in name, how=how)
                for category in CATEGORIES
                for seed in range(options.shapes)
            ]
            distance, closed, seconds = np.mean(rows, axis=0)
            print(
                f"| {count} | {name} | {1e3 * distance:.3f} | {100 * closed:.0f} % | "
                f"{seconds:.2f} |",
                flush=True,
            )


def judged(
    category: str, seed: int, count: int, *, told: bool, how: dict[str, object]
) -> tuple[float, bool, float]:
    """Return the distance to the true surface, whether it is closed, and the seconds it took."""
    shape = make_shape(category, np.random.default_rng(seed))
    vertices, faces = shape.vertices, shape.faces
    vertices = vertices / np.ptp(vertices, axis=0).max()
    spots = spots_on(vertices, faces, count, np.random.default_rng(1))
    points = values_at(spots, vertices).astype(np.float32)
    normals = normals_at(spots, vertices) if told else None
    began = time.perf_counter()
    found = surface_of(points, normals, **how)  # type: ignore[arg-type]
    seconds = time.perf_counter() - began
    ours = sample_surface(*found, COMPARED, np.random.default_rng(2))
    truth = sample_surface(vertices, faces, COMPARED, np.random.default_rng(3))
    ways = [cKDTree(a).query(b)[0] for a, b in ((ours, truth), (truth, ours))]
    edges = np.bincount(trimesh.Trimesh(*found, process=False).edges_unique_inverse)
    closed = bool((edges > 1).all())  # no triangle has a free side
    return sum(float((way**2).mean()) for way in ways), closed, seconds


if __name__ == "__main__":
    main()

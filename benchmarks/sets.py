"""Nearest neighbours of two sets by exact EMD: solving few pairs against solving all, in one run.

python benchmarks/sets.py [--shapes 100] [--points 2048] [--folder MESHES] [--squared] [--full]

Without a folder the shapes are built-in chairs. Without --full the time of solving all pairs is
extrapolated from a random few, and only these are compared.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pointgen.config import read_config
from pointgen.files import read_mesh
from pointgen.files.meshes import is_mesh
from pointgen.geometry.assignment import assign
from pointgen.geometry.sampling import sample_surface
from pointgen.metrics.lazy import exact_neighbours
from pointgen.metrics.neighbours import Neighbours
from pointgen.metrics.pair_cache import BOUNDED, SOLVED, PairCache


def main() -> None:
    """Time both ways and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", type=int, default=100, help="in each of the two sets")
    parser.add_argument("--points", type=int, default=2048)
    parser.add_argument("--folder", type=Path, help="a folder of meshes, two sets' worth")
    parser.add_argument("--squared", action="store_true", help="mean squared distance")
    parser.add_argument("--few", type=int, default=40, help="pairs to extrapolate from")
    parser.add_argument("--full", action="store_true", help="solve all pairs, and compare all")
    options = parser.parse_args()
    clouds = chairs(options) if options.folder is None else meshes(options)
    assert len(clouds) == 2 * options.shapes
    samples, references = clouds[0::2], clouds[1::2]
    solve = partial(assign, squared=options.squared)
    # Compile first, at full size: other sizes take other paths through the solver.
    exact_neighbours(clouds[:2], clouds[2:4], squared=options.squared)

    cache, start = PairCache(), time.perf_counter()
    lazy = exact_neighbours(samples, references, squared=options.squared, cache=cache)
    lazily = time.perf_counter() - start
    bounded = sum(int((tables >= BOUNDED).sum()) for tables in halves(cache, "progress"))

    pairs = all_pairs(cache)
    if not options.full:
        chosen = np.random.default_rng(0).choice(len(pairs), options.few, replace=False)
        pairs = [pairs[k] for k in chosen]
    start = time.perf_counter()
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        points = {"samples": samples.double().numpy(), "references": references.double().numpy()}
        costs = list(
            threads.map(lambda p: solve(points[p[0]][p[2]], points[p[1]][p[3]]).cost, pairs)
        )
    brute = (time.perf_counter() - start) * lazy.pairs / len(pairs)
    agree = agrees(cache, pairs, costs)
    if options.full:
        agree = agree and same(lazy, from_costs(samples, references, pairs, costs))

    what = "chairs" if options.folder is None else options.folder.name
    print(f"\n| 2 x {options.shapes} {what}, {options.points} points | |\n| --- | --- |")
    print(f"| pairs | {lazy.pairs} |")
    print(f"| with a bound within some per cent | {bounded} |")
    print(f"| begun by the solver and stopped early | {lazy.stopped_early} |")
    print(f"| solved | {lazy.solved} |")
    print(f"| seconds | {lazily:.1f} |")
    print(f"| seconds for all pairs{'' if options.full else ', extrapolated'} | {brute:.1f} |")
    print(f"| ratio | {brute / lazily:.1f} |")
    print(f"| agree | {'yes' if agree else 'NO'}, {len(pairs)} pairs compared |")
    scores = (lazy.minimum_matching_distance, lazy.coverage, lazy.nearest_neighbour_accuracy)
    print(f"| MMD, COV, 1-NNA | {', '.join(f'{score:.4g}' for score in scores)} |")


def chairs(options: argparse.Namespace) -> Tensor:
    """Return the clouds of built-in chairs, of both sets in turn."""
    update = {
        "num_points": options.points,
        "points_per_shape": 3 * options.points,
        "test_size": 2 * options.shapes,
    }
    data = read_config("configs/quickstart.toml").data.model_copy(update=update)
    return data.build("test").points(2 * options.shapes)


def meshes(options: argparse.Namespace) -> Tensor:
    """Return clouds from the surfaces of a random choice of meshes."""
    rng = np.random.default_rng(0)
    files = sorted(path for path in options.folder.iterdir() if is_mesh(path))
    if len(files) < 2 * options.shapes:
        raise SystemExit(f"{options.folder}: {2 * options.shapes} meshes needed, has {len(files)}")
    clouds = []
    for k in rng.permutation(len(files))[: 2 * options.shapes]:
        mesh = read_mesh(files[k])
        clouds.append(sample_surface(mesh.vertices, mesh.faces, options.points, rng))
    return torch.from_numpy(np.stack(clouds))


def all_pairs(cache: PairCache) -> list[tuple[str, str, int, int]]:
    """Return the names and indices of all pairs of different shapes."""
    pairs = []
    for name, table in cache.state().items():
        first, second, field = name.split("/")
        if field == "values":
            places = zip(*np.indices(table.shape).reshape(2, -1).tolist(), strict=True)
            pairs += [(first, second, i, j) for i, j in places if first != second or i < j]
    return pairs


def halves(cache: PairCache, field: str) -> list[np.ndarray]:
    """Return the tables of a field, each pair once and zero elsewhere."""
    tables = []
    for name, table in cache.state().items():
        first, second, of = name.split("/")
        if of == field:
            tables.append(table if first != second else np.triu(table, k=1))
    return tables


def agrees(cache: PairCache, pairs: list[tuple[str, str, int, int]], costs: list[float]) -> bool:
    """Whether all that the search found of some pairs holds: distances, or bounds of them."""
    state = cache.state()
    good = True
    for (first, second, i, j), cost in zip(pairs, costs, strict=True):
        value, bound, progress = (
            state[f"{first}/{second}/{field}"][i, j] for field in ("values", "bounds", "progress")
        )
        good &= bool(value == cost if progress == SOLVED else bound <= cost * (1 + 1e-9))
    return good


def from_costs(
    samples: Tensor,
    references: Tensor,
    pairs: list[tuple[str, str, int, int]],
    costs: list[float],
) -> Neighbours:
    """Return the neighbours by the distances of all pairs."""
    sizes = {"samples": len(samples), "references": len(references)}
    names = [("samples", "samples"), ("samples", "references"), ("references", "references")]
    tables = {(a, b): torch.zeros(sizes[a], sizes[b], dtype=torch.float64) for a, b in names}
    for (first, second, i, j), cost in zip(pairs, costs, strict=True):
        tables[first, second][i, j] = cost
        if first == second:
            tables[first, second][j, i] = cost
    return Neighbours.from_tables(*(tables[name] for name in names))


def same(first: Neighbours, second: Neighbours) -> bool:
    """Whether both are the same bit for bit."""
    fields = ("minima", "nearest_sample", "nearest_reference", "votes")
    return all(torch.equal(vars(first)[field], vars(second)[field]) for field in fields)


if __name__ == "__main__":
    main()

"""How near damaged clouds come to the truth: steps of an i-RIM, and codes of a PointFlow.

python benchmarks/restore.py IRIM POINTFLOW [--one IRIM_OF_ONE_STEP] [--shapes 50] [--iterations 14]

The runs are of the same data, as by

pointgen train configs/irim_quickstart.toml
pointgen train configs/irim_quickstart.toml --set model.steps=1 --out runs/irim_one
pointgen train configs/coupling_quickstart.toml

Held-out shapes are damaged as in the training of the i-RIM, the same for all. Distances are to
another draw of their surface than what was damaged, of as many points as restored clouds have.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from pointgen.batch import collate
from pointgen.geometry.distances import chamfer
from pointgen.models.base import Task
from pointgen.models.inference import likely_codes
from pointgen.models.irim import IRIM
from pointgen.models.pointflow import PointFlow
from pointgen.training.checkpoint import load, read_run
from pointgen.training.look import evenly

STARTS, SEARCH = 4, 200  # of the search for codes


def main() -> None:
    """Print a table in Markdown for each task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("irim", type=Path)
    parser.add_argument("pointflow", type=Path)
    parser.add_argument("--one", type=Path)
    parser.add_argument("--shapes", type=int, default=50)
    parser.add_argument("--iterations", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    irim, pointflow = load(options.irim), load(options.pointflow)
    one = None if options.one is None else load(options.one)
    assert isinstance(irim, IRIM) and isinstance(pointflow, PointFlow)
    test = read_run(options.irim).data.build("test")
    batch = collate([test[place] for place in evenly(test, options.shapes)])
    assert batch.target is not None
    columns: dict[str, dict[str, Tensor]] = {}
    for task in irim.tasks:
        noise = torch.Generator().manual_seed(options.seed)
        damaged = irim.damaged(batch.points, task, generator=noise)
        count = batch.points.shape[1]
        way = irim.restore(damaged, task, count, steps=options.iterations, generator=noise)
        rows = {"input": damaged}
        rows |= {f"i-RIM, {_steps(n)}": way[:, n] for n in range(1, way.shape[1])}
        if one is not None:
            assert isinstance(one, IRIM)
            found = one.restore(damaged, task, count, generator=noise)[:, -1]
            rows["trained with one step"] = found
        rows |= _by_codes(pointflow, damaged, count)
        rows["another draw of the truth"] = batch.points
        columns[task] = {name: chamfer(cloud, batch.target) for name, cloud in rows.items()}
    print(table(columns))


def _by_codes(model: PointFlow, damaged: Tensor, count: int) -> dict[str, Tensor]:
    """Return what is decoded of the encoder's code, and of the likeliest that is found."""
    noise = torch.Generator().manual_seed(0)
    codes = []
    for cloud in damaged:
        found = likely_codes(model, cloud[None], starts=STARTS, steps=SEARCH, generator=noise)
        codes.append(found.codes[0])
    with torch.no_grad():
        return {
            "PointFlow, code of its encoder": model.decode(
                model.encode(damaged), count, generator=noise
            ),
            "PointFlow, likeliest code": model.decode(torch.stack(codes), count, generator=noise),
        }


def table(columns: dict[Task, dict[str, Tensor]]) -> str:
    """Return means over shapes, with the standard error of what the whole i-RIM is nearer by."""
    names = list(next(iter(columns.values())))
    last = [name for name in names if name.startswith("i-RIM")][-1]
    lines = [f"| | {' | '.join(f'{task}: CD x 1e3 | behind the last step' for task in columns)} |"]
    lines += [f"| --- |{' --- |' * (2 * len(columns))}"]
    for name in names:
        cells = []
        for rows in columns.values():
            cells.append(f"{1e3 * rows[name].mean():.2f}")
            behind = 1e3 * (rows[name] - rows[last])
            error = behind.std() / len(behind) ** 0.5
            cells.append("" if name == last else f"{behind.mean():.2f} ± {error:.2f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _steps(number: int) -> str:
    return "1 step" if number == 1 else f"{number} steps"


if __name__ == "__main__":
    main()

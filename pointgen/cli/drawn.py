"""Clouds into pictures: `pointgen reconstruct` for a model that goes the other way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pointgen.cli.console import check_free, print_json, progress, refuse, say
from pointgen.cli.encoding import framer, read_inputs
from pointgen.cli.writing import numbered
from pointgen.devices import torch_device

if TYPE_CHECKING:
    from torch import Tensor

    from pointgen.cli.photos import Request

__all__ = ["to_pictures"]


def to_pictures(run: Path, inputs: Sequence[Path], out: Path, request: Request) -> None:
    """Draw pictures of clouds or meshes, as .png files in the folder `out`, or one to `out`.

    Raises:
        ValueError: `out` is one file but there are several pictures, a cloud has too few points, or
            an option says nothing to such a model.
    """
    import torch

    from pointgen.models.cflow import CFlow
    from pointgen.training.checkpoint import load, read_run

    unfit = {
        "--points": request.points,
        "--mask": request.mask,
        "--category": request.category,
        "--code": request.code != "sample",
        "--guidance": request.guidance != 1,
        "--score": request.score,
        "--png": request.png,
        "--steps": request.steps,
    }
    refuse(unfit, "is for clouds, and this model makes pictures of them")
    shapes = read_inputs(inputs, request.seed)
    count = request.count
    names = [name for id in shapes.ids for name in numbered(id, count)]
    alone = out.suffix.lower() == ".png"
    if alone and len(names) > 1:
        raise ValueError(f"{out}: expected a folder for {len(names)} pictures, got a file")
    paths = [out] if alone else [out / f"{name}.png" for name in names]
    for path in paths:
        check_free(path, force=request.force)
    model = load(run, device=torch_device(request.device), weights=request.weights)
    assert isinstance(model, CFlow)
    device = next(model.parameters()).device
    framed = framer(read_run(run).data.normalize)
    generator = torch.Generator().manual_seed(request.seed)
    with progress("drawing") as advance:
        for place, cloud in enumerate(shapes.points):
            points = torch.from_numpy(framed(cloud).apply(cloud)).float().unsqueeze(0).to(device)
            pictures = model.sample_images(
                count, points, generator=generator, temperature=request.temperature
            )
            for path, picture in zip(paths[place * count :], pictures.cpu(), strict=False):
                _save(path, picture)
            advance(place + 1, len(shapes.points))
    if request.json:
        print_json({"run": str(run), "files": [str(path) for path in paths]})
    else:
        say(f"pictures: {len(paths)}, in {out}")


def _save(path: Path, picture: Tensor) -> None:
    import numpy as np
    from PIL import Image

    from pointgen.files import atomic

    values = np.round(255 * picture.numpy().transpose(1, 2, 0)).astype(np.uint8)
    with atomic(path) as temporary:
        Image.fromarray(values).save(temporary, format="PNG")

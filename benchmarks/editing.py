"""Whether a factor that is taken over from another chair moves its attributes, and no others.

python benchmarks/editing.py RUN [--shapes 200] [--steps 1500] [--png FILE]

RUN is an interpretation, as by `pointgen train configs/edit_quickstart.toml`. A PointNet learns to
measure attributes of training shapes and of their reconstructions. Each held-out shape then takes
over each factor of another, is decoded, and measured: R^2 against the donor's attributes for the
factor's own, against the shape's own attributes for all others. In the last row each attribute
alone was set to the donor's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pointgen.batch import collate
from pointgen.datasets import CloudDataset
from pointgen.models.interpretation import Interpretation
from pointgen.networks import PointNetConfig
from pointgen.training.checkpoint import load, read_run

AT_ONCE = 50  # clouds
POINTS, SEEN = 1024, 256  # of a decoded cloud, and how many the network sees at once
SHOWN = 4  # chairs in the picture


def main() -> None:
    """Print one table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--shapes", type=int, default=200)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--png", type=Path)
    options = parser.parse_args()
    torch.manual_seed(0)
    model = load(options.run)
    assert isinstance(model, Interpretation)
    data = read_run(options.run).data
    data = data.model_copy(update={"clouds": data.clouds.model_copy(update={"test_size": 200})})
    measure = Measure(model, data.build("train"), options.steps)
    batch = collate(list(data.build("test"))[: options.shapes])
    own = batch.attributes
    codes = torch.cat([model.encode(part) for part in batch.points.split(AT_ONCE)]).detach()
    names = model.config.attributes
    edited = {"": codes}
    for factor in model.config.factors:
        both, other = model.factors_of(codes), model.factors_of(codes.roll(1, 0))
        edited[factor] = model.codes_of(both | {factor: other[factor]}).detach()
    rows = {"true clouds": r2(measure(torch.cat([batch.points, batch.target], dim=1)), own)}
    found = {factor: decoded(model, changed) for factor, changed in edited.items()}
    rows["reconstructions"] = r2(measure(found[""]), own)
    for factor in model.config.factors:
        wanted = torch.stack(
            [
                (own.roll(1, 0) if of == factor else own)[:, i]
                for i, of in enumerate(names.values())
            ],
            dim=1,
        )
        rows[f"{factor} of another"] = r2(measure(found[factor]), wanted)
    each = []
    for place, name in enumerate(names):
        changed = decoded(model, model.put(codes, name, own.roll(1, 0)[:, place]).detach())
        each.append(r2(measure(changed), own.roll(1, 0))[place])
    rows["each alone set to another's"] = torch.stack(each)
    print(f"| R² | {' | '.join(names)} |\n| --- |{' --- |' * len(names)}")
    for title, row in rows.items():
        factor = title.removesuffix(" of another")
        cells = [
            f"**{value:.2f}**" if of == factor else f"{value:.2f}"
            for value, of in zip(row.tolist(), names.values(), strict=True)
        ]
        print(f"| {title} | {' | '.join(cells)} |")
    if options.png is not None:
        draw(options.png, batch.target, found)


class Measure:
    """A network that says the attributes of clouds."""

    def __init__(self, model: Interpretation, train: CloudDataset, steps: int) -> None:
        """Train it on true and reconstructed clouds."""
        batch = collate(list(train))
        codes = torch.cat([model.encode(part) for part in batch.points.split(AT_ONCE)]).detach()
        # Half of them true, half reconstructed; of all a random part of the points is seen.
        true = torch.cat([batch.points, batch.target], dim=1)
        clouds = torch.cat([true, decoded(model, codes, true.shape[1])])
        attributes = batch.attributes.repeat(2, 1)
        self._mean, self._std = attributes.mean(0), attributes.std(0)
        config = PointNetConfig(widths=(64, 128, 256), head=(256, 128))
        self._network = config.build(attributes.shape[1])
        optimizer = torch.optim.Adam(self._network.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps)
        for _ in range(steps):
            chosen = torch.randint(len(clouds), (64,))
            (said,) = self._network(clouds[chosen][:, torch.randperm(clouds.shape[1])[:SEEN]])
            wanted = (attributes[chosen] - self._mean) / self._std
            loss = nn.functional.mse_loss(said, wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        self._network.eval()

    @torch.no_grad()
    def __call__(self, clouds: Tensor) -> Tensor:
        """Return the attributes (B, A) of clouds (B, N, 3): the mean of what parts of them say."""
        parts = [
            torch.cat([self._network(some)[0] for some in part.split(AT_ONCE)])
            for part in clouds.split(SEEN, dim=1)
        ]
        return torch.stack(parts).mean(0) * self._std + self._mean


@torch.no_grad()
def decoded(model: Interpretation, codes: Tensor, points: int = POINTS) -> Tensor:
    """Return clouds (B, points, 3) of codes."""
    noise = torch.Generator().manual_seed(0)
    return torch.cat([model.decode(part, points, generator=noise) for part in codes.split(AT_ONCE)])


def r2(said: Tensor, true: Tensor) -> Tensor:
    """Return how much of the variance (A,) of attributes (B, A) is found."""
    return 1 - (said - true).square().mean(0) / true.var(0, correction=0)


def draw(path: Path, true: Tensor, found: dict[str, Tensor]) -> None:
    """Draw some chairs, what the model makes of them, and what of each with others' factors."""
    from pointgen.view.still import save_png

    rows: list[np.ndarray] = [cloud.numpy() for cloud in true[1 : 1 + SHOWN]]
    captions = ["true"] * SHOWN
    rows += [cloud.numpy() for cloud in true[:SHOWN]]
    captions += ["donor"] * SHOWN
    for factor, clouds in found.items():
        rows += [cloud.numpy() for cloud in clouds[1 : 1 + SHOWN]]
        captions += [f"{factor} of the donor" if factor else "reconstructed"] * SHOWN
    save_png(path, rows, captions=captions, columns=SHOWN, size=200)


if __name__ == "__main__":
    main()

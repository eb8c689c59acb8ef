"""`pointgen evaluate`: the metric sheet of generated clouds against real ones."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pointgen.cli.console import HTML, check_free, print_json, refuse, say, write_json
from pointgen.cli.from_images import Asked, from_images
from pointgen.cli.from_shapes import from_shapes
from pointgen.cli.inputs import is_run
from pointgen.cli.options import (
    Device,
    Force,
    Guidance,
    Json,
    OptionalPoints,
    Seed,
    Split,
    Weights,
)
from pointgen.cli.paired import paired
from pointgen.cli.sets import category_of, check_frames, generated, read_set, real_sets
from pointgen.cli.together import bar, first, node_first, together
from pointgen.devices import torch_device

if TYPE_CHECKING:
    from torch import Tensor

    from pointgen.metrics.evaluate import Scoring
    from pointgen.metrics.work import Work
    from pointgen.processes import Share

__all__ = ["evaluate"]

Published = Literal["pointflow", "lion", "lion-box", "dpm"]
Unit = Literal["data", "box", "half_box", "std"]


class Emd(StrEnum):  # typer takes no list of literals
    """What `--emd` knows."""

    NONE = "none"
    EXACT = "exact"
    NEAR = "1%"
    SQUARED = "squared"
    POINTFLOW = "pointflow"
    PVD = "pvd"
    SUM_SQUARED = "sum-squared"


def evaluate(
    samples: Annotated[
        Path, typer.Argument(help="A run (as many new clouds as references), a file or a folder.")
    ],
    reference: Annotated[
        Path | None,
        typer.Argument(
            help="A run (the held-out shapes of its data), a file or a folder. Left out, the "
            "samples are a run, which is shown held-out pictures or shapes of its data."
        ),
    ] = None,
    emd: Annotated[
        list[Emd] | None,
        typer.Option(
            help="Earth mover's distance beside Chamfer's: exact; 1% (within a proven percent, for "
            "CUDA); squared (exact, squared distances); or what others' code calls EMD. May be "
            "repeated."
        ),
    ] = None,
    protocol: Annotated[
        Published | None,
        typer.Option(help="Score as a paper's code does: split, points, units and distances."),
    ] = None,
    oracle: Annotated[
        str | None,
        typer.Option(
            help="Real clouds to score beside the samples: a file or folder, half (one half of the "
            "references against the other) or none. Default, where the reference is a run: as many "
            "of its training shapes; else half."
        ),
    ] = None,
    points: OptionalPoints = None,
    units: Annotated[
        Unit | None,
        typer.Option(help="Bring each cloud to these first: data (as they are), its own box, ..."),
    ] = None,
    split: Annotated[
        Split | None, typer.Option(help="Which split of a run's data is held out. Default: test.")
    ] = None,
    category: Annotated[
        str | None,
        typer.Option(
            help="Only this one: samples of a run that was told categories are asked for it, the "
            "shapes of a run as REFERENCE are those of it."
        ),
    ] = None,
    pairs: Annotated[
        bool,
        typer.Option(
            "--pairs", help="Score reconstructions: each cloud against the reference of its name."
        ),
    ] = False,
    threshold: Annotated[
        str,
        typer.Option(
            help="Of the F-score with --pairs and for pictures: 0.01, 1% (of the box's side), "
            "0.001sq (squared)."
        ),
    ] = "1%",
    code: Annotated[
        Literal["sample", "mean", "mode"] | None,
        typer.Option(
            help="What is decoded for a picture: a random shape code, the mean of 16, or the "
            "likeliest. Default: mean, where there are shape codes."
        ),
    ] = None,
    guidance: Guidance = 1.0,
    likelihood: Annotated[
        bool,
        typer.Option(
            "--likelihood", help="For pictures: how often is the right one the likelier? Slow."
        ),
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Also write the sheet as JSON here.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Also write a report with pictures as one HTML page here.")
    ] = None,
    seed: Seed = 0,
    weights: Weights = "model",
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Score clouds against real ones: 1-NNA, COV, MMD and JSD, or pair by pair.

    Of a run alone: its clouds for held-out pictures, beside retrieval and the mean cloud; or its
    reconstructions of held-out shapes; or what it makes of them once they are damaged.

    An evaluation that was interrupted goes on where it was when it is called again.
    """
    check_free(out, force=force)
    check_free(html, force=force, endings=HTML)
    if out is not None and out == html:
        raise ValueError(f"--out and --html: expected two files, got {out} for both")
    of_sets: dict[str, object] = {"--protocol": protocol, "--oracle": oracle, "--units": units}
    of_sets |= {"--html": html, "--emd": set(emd or ()) - {Emd.EXACT, Emd.NONE}}
    of_sets |= {"--category": category}
    of_pictures: dict[str, object] = {"--code": code, "--guidance": guidance != 1}
    of_pictures |= {"--likelihood": likelihood}
    if reference is None:
        refuse({"--pairs": pairs} | of_sets, "expected a REFERENCE too")
        if not first():
            return
        asked = Asked(
            split or "test",
            points,
            threshold,
            Emd.NONE not in (emd or ()),
            code,
            guidance,
            weights,
            device,
            seed,
            likelihood,
        )
        result, text = _alone(samples, asked, of_pictures)
        _publish(result, text, out, json)
        return
    if pairs:
        idle: dict[str, object] = {
            "--split": split,
            "--weights": weights != "model",
            "--device": device == "cuda",
        }
        refuse(of_sets | of_pictures | idle, "does not go with --pairs")
        if not first():
            return
        result, text = paired(
            samples, reference, points, seed, threshold=threshold, exact=Emd.NONE not in (emd or ())
        )
        _publish(result, text, out, json)
        return
    kind = category_of(samples, reference, category)
    asked_for = kind is not None and kind.label is not None
    of_pictures |= {"--guidance": guidance != 1 and not asked_for}
    refuse(of_pictures, "is of a run that turns pictures into clouds, without a REFERENCE")
    refuse({"--threshold": threshold != "1%"}, "expected --pairs with it, or a run alone")
    refuse({"--weights": weights != "model" and not is_run(samples)}, f"{samples} is no run")
    refuse({"--split": split and not is_run(reference)}, f"{reference} is no run")
    scoring, split = _scoring(emd, protocol, points, units, split, seed)
    check_frames(samples, reference, scoring.units)
    with together() as share:
        on = torch_device(device)
        # Quick to fail, so first.
        read = None if is_run(samples) else read_set(samples, scoring.points, (seed, 0))
        real, beside = node_first(
            lambda: real_sets(reference, oracle, split, scoring.points, kind, seed), share
        )
        made = read
        if made is None:
            from pointgen.training.checkpoint import load

            model = load(samples, device=on, weights=weights)
            size = len(real), min(real.shape[1], scoring.points or real.shape[1])
            made = generated(model, size, seed, kind, guidance, share)
        work = _work({"samples": made, "reference": real}, beside, scoring, share, on)
        with bar("scoring", share) as advance:
            from pointgen.metrics.evaluate import evaluate as score

            sheet = score(
                made.to(on),
                real.to(on),
                oracle=beside if beside is None or isinstance(beside, str) else beside.to(on),
                scoring=scoring,
                work=work,
                progress=advance,
            )
    if not share.main:
        work.store.close()
        return
    origin = {"samples_from": str(samples), "reference_from": str(reference)}
    origin |= {"split": split} if is_run(reference) else {}
    origin |= {"category": category} if category else {}
    origin |= {"protocol": _followed(protocol, scoring, reference)} if protocol else {}
    lines = [f"{name.replace('_', ' ')}: {value}" for name, value in origin.items()]
    _publish(origin | sheet.to_json(), "\n".join([*lines, str(sheet)]), out, json)
    if html is not None:
        from pointgen.cli.sheet_page import save_sheet_page

        save_sheet_page(html, sheet, made, real, origin)
        say(f"wrote {html}")
    work.store.close()  # last: what could not be written costs no more than another try


def _alone(
    run: Path, asked: Asked, of_pictures: dict[str, object]
) -> tuple[dict[str, object], str]:
    """Score what a run makes of its own held-out pictures, or of its held-out shapes."""
    from pointgen.training.checkpoint import load
    from pointgen.training.making import answers_pictures

    if not is_run(run):
        raise ValueError(f"{run}: expected a run where there is no REFERENCE")
    model = load(run, device=torch_device(asked.device), weights=asked.weights)
    if answers_pictures(model):
        return from_images(run, model, asked)
    refuse(of_pictures, "is of a run that turns pictures into clouds")
    return from_shapes(run, model, asked)


def _scoring(
    emd: list[Emd] | None,
    protocol: Published | None,
    points: int | None,
    units: Unit | None,
    split: Split | None,
    seed: int,
) -> tuple[Scoring, Split]:
    """Return what to measure and on which split."""
    from pointgen.metrics.evaluate import Scoring
    from pointgen.metrics.protocols import PROTOCOLS

    distances = ["CD", *(name for name in map(_distance, emd or ()) if name)]
    if protocol is None:
        return Scoring(tuple(distances), points, units or "data", seed=seed), split or "test"
    published = PROTOCOLS[protocol]
    if split not in (None, published.split) or units not in (None, published.units):
        raise ValueError(
            f"--protocol {protocol} says --split {published.split} --units {published.units}: "
            "leave them out, or leave out the protocol"
        )
    return (
        Scoring(
            (*published.distances, *distances),
            points or published.points,
            published.units,
            seed=seed,
        ),
        published.split,
    )


def _followed(protocol: Published, scoring: Scoring, reference: Path) -> str:
    """Name the protocol, with what of it was not followed."""
    from pointgen.metrics.protocols import PROTOCOLS

    published = PROTOCOLS[protocol]
    but = []
    if scoring.points != published.points:
        but.append(f"with {scoring.points} points instead of {published.points}")
    if not is_run(reference):
        but.append(f"of a file, which should be the {published.split} split")
    return " ".join([protocol, *([f"({', '.join(but)})"] if but else []), "-", published.source])


def _distance(emd: Emd) -> str | None:
    return {Emd.NONE: None, Emd.EXACT: "EMD"}.get(emd, f"EMD-{emd.value}")


def _work(
    clouds: dict[str, Tensor], beside: Tensor | str | None, scoring: Scoring, share: Share, on: str
) -> Work:
    """Return this process's share, with the cache of just this work."""
    from importlib.metadata import version

    from pointgen.files.cache import user_cache
    from pointgen.metrics.store import Store, fingerprint
    from pointgen.metrics.work import Work

    more = {} if beside is None or isinstance(beside, str) else {"oracle": beside}
    half = beside if isinstance(beside, str) else None
    settings = (scoring, half, share, on, version("pointgen"))
    name = fingerprint(clouds | more, *settings)
    return Work(share, Store(user_cache("scores") / f"{name}.npz"))


def _publish(result: dict[str, Any], text: str, out: Path | None, json: bool) -> None:
    if out is not None:
        write_json(out, result)
    if json:
        print_json(result)
    else:
        typer.echo(text)

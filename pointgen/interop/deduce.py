"""Which architecture an official PointFlow checkpoint is of, by its keys and shapes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from pointgen.interop.names import ENCODER, ROLES
from pointgen.models import PointFlowConfig
from pointgen.models.cnf import CnfConfig
from pointgen.models.flows import NoPrior
from pointgen.networks.concatsquash import FUNCTIONS, ConcatSquashConfig

__all__ = ["Hints", "deduce"]

Shapes = Mapping[str, tuple[int, ...]]

TIME_LENGTH = 0.5  # the official default


@dataclass(frozen=True)
class Hints:
    """What keys and shapes leave open; None takes the official default, if they do.

    Attributes:
        layer: how time and condition enter: concatsquash or concatscale, squash or scale.
        nonlinearity: tanh by default; swish alone shows in the keys.
        time_length: T of fields that were trained with a constant one.
    """

    layer: str | None = None
    nonlinearity: str | None = None
    time_length: float | None = None


def deduce(shapes: Shapes, hints: Hints) -> PointFlowConfig:
    """Return the config of the model with official tensors of these shapes.

    Only what the config needs is looked at: whether all keys are there and all shapes right is for
    the caller to see.

    Raises:
        ValueError: A key is missing or of a wrong shape, or the keys contradict a hint.
    """
    if not all(any(key.startswith(part) for key in shapes) for part in ("encoder.", "point_cnf.")):
        some = ", ".join(list(shapes)[:3]) or "none"
        raise ValueError(f"expected PointFlow's keys encoder.* and point_cnf.*, got {some}")
    deterministic = "encoder.fc3.weight" in shapes
    points = _flow(shapes, "point_cnf", hints)
    has_prior = any(key.startswith("latent_cnf.") for key in shapes)
    prior = _flow(shapes, "latent_cnf", hints) if has_prior else NoPrior()
    if deterministic and has_prior:
        _check_matching(points, prior)
    # Without a latent flow the official training leaves the spread of the codes alone.
    weight = 1.0 if has_prior else 0.0
    try:
        return PointFlowConfig(
            # By likelihood, our training refuses an encoder without entropy before a latent flow.
            objective="matching" if deterministic and has_prior else "likelihood",
            code_dim=_rows(shapes, f"encoder.fc3{'' if deterministic else '_m'}.weight"),
            posterior="deterministic" if deterministic else "gaussian",
            encoder=ENCODER,
            points=points,
            prior=prior,
            prior_weight=weight,
            entropy_weight=weight,
        )
    except ValidationError as error:
        raise _readable(error) from error


def _check_matching(*flows: CnfConfig | NoPrior) -> None:
    if any(isinstance(flow, CnfConfig) and flow.blocks > 1 for flow in flows):
        raise ValueError(
            "a deterministic encoder with a latent flow has no place here where a flow has several "
            "blocks: neither objective could train it"
        )


def _flow(shapes: Shapes, level: str, hints: Hints) -> CnfConfig:
    keys = [key.removeprefix(f"{level}.") for key in shapes if key.startswith(f"{level}.")]
    matches = [re.match(r"chain\.(\d+)\.(odefunc\.|running_mean$)", key) for key in keys]
    found = {(match[1], match[2]) for match in matches if match}
    batch_norm = any(part == "running_mean" for _, part in found)
    first = f"{level}.chain.{1 if batch_norm else 0}"
    blocks = sum(part == "odefunc." for _, part in found)
    if not blocks:
        raise ValueError(f"{first}.odefunc: missing")
    field = _field(shapes, first, hints)
    return CnfConfig(field=field, blocks=blocks, batch_norm=batch_norm)


def _field(shapes: Shapes, cnf: str, hints: Hints) -> ConcatSquashConfig:
    net = f"{cnf}.odefunc.diffeq"
    prefix = f"{net}.layers.0."
    parts = {key.removeprefix(prefix).split(".")[0] for key in shapes if key.startswith(prefix)}
    layers = [layer for layer, roles in ROLES.items() if roles.keys() == parts]
    if not layers:
        came = ", ".join(sorted(parts)) or "nothing"
        raise ValueError(f"{prefix}*: expected the maps of a known layer type, got {came}")
    swish = f"{net}.activation_fns.0.beta" in shapes
    trained = f"{cnf}.sqrt_end_time" in shapes
    if trained and hints.time_length is not None:
        raise ValueError(f"time length: it was trained, as {cnf}.sqrt_end_time shows")
    try:
        return ConcatSquashConfig.model_validate(
            {
                "dims": _dims(shapes, net),
                "layer": _open("layer", layers, hints.layer),
                "nonlinearity": _open(
                    "nonlinearity", ["swish"] if swish else list(FUNCTIONS), hints.nonlinearity
                ),
                "end_time": _time_length(hints),
                "train_end_time": trained,
            }
        )
    except ValidationError as error:
        raise _readable(error) from error


def _dims(shapes: Shapes, net: str) -> tuple[int, ...]:
    """Return the widths of the hidden layers."""
    rows: list[int] = []
    while (key := f"{net}.layers.{len(rows)}._layer.weight") in shapes:
        rows.append(_rows(shapes, key))
    if len(rows) < 2:
        raise ValueError(f"{key}: missing; expected at least two layers")
    return tuple(rows[:-1])


def _open(name: str, allowed: Sequence[str], wanted: str | None) -> str:
    """Return what is wanted of what the keys allow, by default the first."""
    if wanted is not None and wanted not in allowed:
        raise ValueError(f"{name}: by its keys it is {' or '.join(allowed)}, not {wanted}")
    return wanted or allowed[0]


def _time_length(hints: Hints) -> float:
    length = TIME_LENGTH if hints.time_length is None else hints.time_length
    if not 0 < length < math.inf:
        raise ValueError(f"time length: expected a positive number, got {length}")
    return length


def _rows(shapes: Shapes, key: str) -> int:
    if key not in shapes:
        raise ValueError(f"{key}: missing")
    if len(shapes[key]) != 2 or 0 in shapes[key]:
        raise ValueError(f"{key}: expected a matrix, got shape {shapes[key]}")
    return shapes[key][0]


def _readable(error: ValidationError) -> ValueError:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return ValueError(f"{place}: {first['msg'].removeprefix('Value error, ')}")

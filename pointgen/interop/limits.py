"""What the official PointFlow code can hold, and the options under which it builds a model."""

from __future__ import annotations

from pointgen.interop.names import ENCODER, ROLES
from pointgen.models.cnf import CnfConfig
from pointgen.models.pointflow import PointFlow, PointFlowConfig
from pointgen.networks import ConcatSquashConfig

__all__ = ["check_official", "constant_time", "official_options"]

SHARED = ("layer", "nonlinearity", "train_end_time")


def check_official(config: PointFlowConfig) -> None:
    """Refuse an architecture that no options of the official code give.

    Raises:
        ValueError: The official code has no such encoder or field, or cannot have both levels so.
    """
    if config.encoder != ENCODER:
        raise ValueError(
            f"encoder: the official one has widths {ENCODER.widths} and head {ENCODER.head}, "
            f"this one {config.encoder.widths} and {config.encoder.head}"
        )
    points = _checked_field("points", config.points)
    if not isinstance(config.prior, CnfConfig):
        return
    prior = _checked_field("prior", config.prior)
    sides = {name: (points.model_dump()[name], prior.model_dump()[name]) for name in SHARED}
    sides["batch_norm"] = (config.points.batch_norm, config.prior.batch_norm)
    for name, (of_points, of_prior) in sides.items():
        if of_points != of_prior:
            raise ValueError(
                f"{name}: the official code has one for both levels, "
                f"this model {of_points} for points and {of_prior} for the prior"
            )


def constant_time(model: PointFlow) -> float | None:
    """Return the integration time T that all fields share, or None where it is trained.

    Raises:
        ValueError: The official code has one constant T, but the fields have several.
    """
    times = [
        buffer.square().item()
        for name, buffer in model.named_buffers()
        if name.endswith(".sqrt_end_time")
    ]
    if not times:
        return None
    if max(times) - min(times) > 1e-6 * max(times):
        raise ValueError(
            f"end_time: the official code has one for all fields, this model "
            f"{', '.join(f'{time:.6g}' for time in times)}"
        )
    return times[0]


def official_options(model: PointFlow) -> list[str]:
    """Return the options of the official code's scripts that build a model of this shape.

    Raises:
        ValueError: There are none.
    """
    config, time = model.config, constant_time(model)
    check_official(config)
    field = _checked_field("points", config.points)
    options = ["--zdim", str(config.code_dim), *_flow_options("", config.points)]
    if isinstance(config.prior, CnfConfig):
        options += ["--use_latent_flow", *_flow_options("latent_", config.prior)]
    if config.posterior == "deterministic":
        options.append("--use_deterministic_encoder")
    if field.layer != "concatsquash":
        options += ["--layer_type", field.layer]
    if field.nonlinearity != "tanh":
        options += ["--nonlinearity", field.nonlinearity]
    if not config.points.batch_norm:
        options += ["--batch_norm", "False"]
    if time is not None:  # six digits: the square of a single-precision root has no more
        options += ["--train_T", "False", "--time_length", f"{time:.6g}"]
    return options


def _flow_options(prefix: str, flow: CnfConfig) -> list[str]:
    assert isinstance(flow.field, ConcatSquashConfig)
    dims = "-".join(map(str, flow.field.dims))
    return [f"--{prefix}dims", dims, f"--{prefix}num_blocks", str(flow.blocks)]


def _checked_field(level: str, flow: CnfConfig) -> ConcatSquashConfig:
    field = flow.field
    if not isinstance(field, ConcatSquashConfig):
        raise ValueError(
            f"{level}: the official code has fields of kind concatsquash, this one is {field.kind}"
        )
    if field.layer not in ROLES:
        raise ValueError(f"{level}: layer {field.layer} is broken in the official code")
    if not field.dims:
        raise ValueError(f"{level}: the official code needs at least one hidden layer")
    return field

"""What the official PointFlow code can hold, and the options under which it builds a model."""

from __future__ import annotations

from pointgen.interop.names import ENCODER, ROLES
from pointgen.models.cnf import CnfConfig
from pointgen.models.flows import FlowConfig, GaussianConfig, NoPrior
from pointgen.models.pointflow import PointFlow, PointFlowConfig
from pointgen.networks import ConcatSquashConfig, PointNetConfig

__all__ = ["check_official", "constant_time", "official_options"]

SHARED = ("layer", "nonlinearity", "train_end_time")


def check_official(config: PointFlowConfig) -> None:
    """Refuse an architecture that no options of the official code give.

    Raises:
        ValueError: The official code has no such encoder or field, or cannot have both levels so.
    """
    if not isinstance(config.encoder, PointNetConfig):
        raise ValueError(f"encoder: the official one is a pointnet, got a {config.encoder.kind}")
    if config.encoder != ENCODER:
        raise ValueError(
            f"encoder: the official one has widths {ENCODER.widths} and head {ENCODER.head}, "
            f"this one {config.encoder.widths} and {config.encoder.head}"
        )
    if config.posterior_flow is not None:
        raise ValueError("posterior_flow: the official posterior is a Gaussian, or one code")
    points = _checked_flow("points", config.points)
    if isinstance(config.prior, NoPrior):
        return
    prior = _checked_flow("prior", config.prior)
    fields = points.field.model_dump(), prior.field.model_dump()
    sides = {name: (fields[0][name], fields[1][name]) for name in SHARED}
    sides["batch_norm"] = (points.batch_norm, prior.batch_norm)
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
    points = _checked_flow("points", config.points)
    field = _field(points)
    options = ["--zdim", str(config.code_dim), *_flow_options("", points)]
    if isinstance(config.prior, CnfConfig):
        options += ["--use_latent_flow", *_flow_options("latent_", config.prior)]
    if config.posterior == "deterministic":
        options.append("--use_deterministic_encoder")
    if field.layer != "concatsquash":
        options += ["--layer_type", field.layer]
    if field.nonlinearity != "tanh":
        options += ["--nonlinearity", field.nonlinearity]
    if not points.batch_norm:
        options += ["--batch_norm", "False"]
    if time is not None:  # six digits: the square of a single-precision root has no more
        options += ["--train_T", "False", "--time_length", f"{time:.6g}"]
    return options


def _flow_options(prefix: str, flow: CnfConfig) -> list[str]:
    dims = "-".join(map(str, _field(flow).dims))
    return [f"--{prefix}dims", dims, f"--{prefix}num_blocks", str(flow.blocks)]


def _field(flow: CnfConfig) -> ConcatSquashConfig:
    assert isinstance(flow.field, ConcatSquashConfig), "checked before"
    return flow.field


def _checked_flow(level: str, flow: FlowConfig | GaussianConfig) -> CnfConfig:
    if not isinstance(flow, CnfConfig):
        raise ValueError(f"{level}: the official code has flows of kind cnf, this is {flow.kind}")
    field = flow.field
    if not isinstance(field, ConcatSquashConfig):
        raise ValueError(
            f"{level}: the official code has fields of kind concatsquash, this one is {field.kind}"
        )
    if field.layer not in ROLES:
        raise ValueError(f"{level}: layer {field.layer} is broken in the official code")
    if not field.dims:
        raise ValueError(f"{level}: the official code needs at least one hidden layer")
    return flow

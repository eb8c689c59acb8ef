"""Official weights mean the same here: names, encoder, fields, densities, and the way back."""

import dataclasses
import math

import pytest
import torch

from pointgen.flows.continuous import CNF
from pointgen.flows.solver import Solver
from pointgen.interop import Hints, adam_state, from_official, official_options, to_official
from pointgen.interop.pointflow import training_steps
from pointgen.models import PointFlowConfig
from pointgen.models.cnf import CnfConfig
from pointgen.models.flows import NoPrior
from pointgen.networks import ConcatSquashConfig, PointNetConfig, ResidualConfig, RevNetConfig

LAYERS = ("ignore", "concat_v2", "squash", "scale", "concatscale", "concatsquash")
NONLINEARITIES = ("tanh", "relu", "softplus", "elu", "swish", "square", "identity")
SHAPES = {
    "gaussian, two blocks": {"blocks": 2, "latent_blocks": 3},
    "no norms": {"batch_norm": False, "latent_blocks": 2},
    "autoencoder": {"latent_dims": None, "deterministic": True},
    "deep": {"dims": (6, 5, 4, 3), "latent_dims": (7,)},
    "noisy autoencoder": {"latent_dims": None},
    "deterministic with a latent flow": {"deterministic": True},
}


def hints(options):
    swish = options.nonlinearity == "swish"
    return Hints(options.layer, None if swish else options.nonlinearity)


def bare(state):
    return {key.replace(".module.", "."): tensor for key, tensor in state.items()}


def wrapped(state):
    return {key.replace(".", ".module.", 1): tensor for key, tensor in state.items()}


def precise(model):
    for part in model.modules():
        if isinstance(part, CNF):
            part.solver = part.sampler = Solver(rtol=1e-8, atol=1e-8)
    return model


def fields(model):
    return [part.field for part in model.modules() if isinstance(part, CNF)]


def check_round_trip(state, model):
    back = bare(to_official(model))
    assert back.keys() == state.keys()
    for key, tensor in state.items():
        assert back[key].dtype == tensor.dtype and torch.equal(back[key], tensor), key


@pytest.mark.parametrize(
    ("name", "keys", "parameters"), [("PUBLISHED", 119, 1_608_346), ("AUTOENCODER", 76, 1_292_697)]
)
def test_the_published_models_have_the_official_keys_and_shapes(official, name, keys, parameters):
    options = getattr(official, name)
    prior = {} if options.latent_dims else {"prior": NoPrior(), "posterior": "deterministic"}
    model = PointFlowConfig(**prior).build()
    state = to_official(model)
    table = official.shapes(options)
    assert {key: tuple(t.shape) for key, t in bare(state).items()} == table and len(table) == keys
    assert all(".module." in key for key in state)
    counters = ("running_mean", "running_var", "num_batches_tracked", "step", "_num_evals")
    weights = [shape for key, shape in table.items() if not key.endswith(counters)]
    assert sum(map(math.prod, weights)) == parameters
    assert from_official(state).config.model_dump() == model.config.model_dump() | (
        {} if options.latent_dims else {"prior_weight": 0.0, "entropy_weight": 0.0}
    )


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_every_field_is_the_official_one_in_our_time_and_comes_back(official, layer, nonlinearity):
    options = official.Options(layer=layer, nonlinearity=nonlinearity)
    state = official.state(options)
    model = from_official(state, hints(options))
    x, t, codes = torch.randn(2, 5, 3), 0.3, torch.randn(2, options.zdim)
    for own, cnf, at, context in zip(
        fields(model), ("point_cnf.chain.1", "latent_cnf.chain.1"), (x, codes), (codes, None),
        strict=True,
    ):  # fmt: skip
        end = official.end_time(state, cnf)
        theirs = official.field(state, cnf, options, end * (1 - t), at, context)
        ours = own(torch.tensor(t), at, None if context is None else context.unsqueeze(1))
        torch.testing.assert_close(ours, -end * theirs)
    check_round_trip(state, model)


@pytest.mark.parametrize("name", SHAPES)
def test_codes_densities_and_samples_are_the_official_ones(official, name):
    options = official.Options(**SHAPES[name])
    state = official.state(options)
    model = precise(from_official(state))
    mean, std = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.3, 0.5, 2.0])
    model.set_units(mean, std)
    x = torch.randn(2, 7, 3)
    with torch.no_grad():
        posterior = model.posterior(x * std + mean)
        outputs = [part for part in (posterior.mean, posterior.log_var) if part is not None]
        for ours, theirs in zip(outputs, official.encode(state, options, x), strict=True):
            torch.testing.assert_close(ours, theirs)
        noise, ladj = model.points.transform(x * std + mean, outputs[0].unsqueeze(1))
        back = model.points.transform.inverse(noise, outputs[0].unsqueeze(1))
    there, theirs = official.flow(state, "point_cnf", options.blocks, options, x, outputs[0])
    close = {"rtol": 1e-6, "atol": 1e-6}
    torch.testing.assert_close(noise, there, **close)
    torch.testing.assert_close(ladj, theirs - std.log().sum(), **close)
    torch.testing.assert_close(back, x * std + mean, **close)
    if options.latent_dims is not None:
        w, ladj = official.flow(state, "latent_cnf", options.latent_blocks, options, outputs[0])
        log_prior = -0.5 * (w.square() + math.log(2 * math.pi)).sum(-1) + ladj
        torch.testing.assert_close(model.log_prior(outputs[0]).detach(), log_prior, **close)
    check_round_trip(state, model)


def test_all_ways_of_wrapping_give_one_model(official):
    state = official.state(official.Options())
    ways = (wrapped(state), *({f"module.{k}": t for k, t in s.items()}
                              for s in (state, wrapped(state))))  # fmt: skip
    expected = from_official(state).state_dict()
    for way in ways:
        torch.testing.assert_close(from_official(way).state_dict(), expected, rtol=0, atol=0)


def test_a_constant_time_is_not_in_the_keys_but_said(official):
    state = official.state(official.Options(train_time=False))
    for length, hint in ((0.5, Hints()), (0.8, Hints(time_length=0.8))):
        model = from_official(state, hint)
        for field in fields(model):
            torch.testing.assert_close(field.sqrt_end_time.square(), torch.tensor(length))
        check_round_trip(state, model)
        assert official_options(model)[-4:] == ["--train_T", "False", "--time_length", f"{length}"]


def test_training_steps_are_those_the_encoder_counted(official):
    assert training_steps(from_official(official.state(official.Options()))) == 321


def test_single_precision_files_give_double_precision_models_and_back(official):
    state = official.state(official.Options())
    single = {k: t.float() if t.is_floating_point() else t for k, t in state.items()}
    assert all(t.dtype != torch.float32 for t in from_official(single).state_dict().values())


@pytest.mark.parametrize("nonlinearity", ["tanh", "swish"])
def test_adam_counts_the_official_parameters(official, nonlinearity):
    options = official.Options(nonlinearity=nonlinearity)
    counters = ("running_mean", "running_var", "num_batches_tracked", "step", "_num_evals", "beta")
    plain = sum(not key.endswith(counters) for key in official.shapes(options))
    shared = 2 if nonlinearity == "swish" else 0  # one slope, in the list of either flow
    state = adam_state(from_official(official.state(options)), 2e-3)
    assert len(state["param_groups"][0]["params"]) == plain + shared
    assert state["param_groups"][0]["lr"] == 2e-3 and state["state"] == {}


POINT = "point_cnf.chain.1.odefunc.diffeq.layers"
DAMAGES = {
    "missing": lambda s: s.pop("encoder.bn2.bias"),
    "unexpected": lambda s: s.update({"encoder.conv9.bias": torch.zeros(1)}),
    "expected shape (12, 3), got (12, 4)": lambda s: s.update(
        {f"{POINT}.0._layer.weight": torch.zeros(12, 4)}
    ),
    "NaN": lambda s: s["latent_cnf.chain.2.bias"].fill_(math.nan),
    "infinite": lambda s: s["encoder.fc1_v.bias"].fill_(math.inf),
    "int64": lambda s: s.update({"encoder.conv1.bias": torch.zeros(128, dtype=torch.int64)}),
    "sparse": lambda s: s.update({"encoder.conv1.bias": torch.zeros(128).to_sparse()}),
    "negative variances": lambda s: s["encoder.bn1.running_var"].fill_(-1.0),
    "twice": lambda s: s.update({"encoder.module.conv1.bias": torch.zeros(128)}),
    "expected a matrix": lambda s: s.update({"encoder.fc3_m.weight": torch.zeros(())}),
    "known layer type": lambda s: s.update({f"{POINT}.0._hyper.weight": torch.zeros(12, 9)}),
    "at least two layers": lambda s: [s.pop(k) for k in list(s) if k.startswith(f"{POINT}.1")],
    "point_cnf.chain.1.odefunc: missing": lambda s: [
        s.pop(k) for k in list(s) if k.startswith("point_cnf") and "odefunc" in k
    ],
    "PointFlow's keys encoder.*": lambda s: [s.pop(k) for k in list(s) if "point_cnf" in k],
    "one for both levels": lambda s: s.pop("latent_cnf.chain.1.sqrt_end_time"),
}


@pytest.mark.parametrize("words", DAMAGES)
def test_a_damaged_state_is_one_line_that_names_the_key(official, words):
    state = official.state(official.Options())
    before = {key: tensor.clone() for key, tensor in state.items()}
    DAMAGES[words](state)
    touched = [k for k in before.keys() | state.keys() if k not in state or k not in before
               or state[k].is_sparse or not torch.equal(state[k], before[k])]  # fmt: skip
    with pytest.raises(ValueError) as caught:
        from_official(state)
    message = str(caught.value)
    assert words in message and "\n" not in message
    if len(touched) == 1 and "both levels" not in words and "layer type" not in words:
        assert touched[0].replace("module.", "") in message


def test_shapes_are_compared_before_anything_large_is_made(official):
    """Two thin layers that would stand for a square one of a million times a million."""
    state = official.state(official.Options())
    for key, shape in (
        (f"{POINT}.0._layer.weight", (10**6, 1)),
        (f"{POINT}.1._layer.weight", (10**6, 1)),
    ):
        state[key] = torch.zeros(shape)
    with pytest.raises(ValueError, match="expected shape"):
        from_official(state)


@pytest.mark.parametrize(
    ("options", "hint", "words"),
    [
        ({}, Hints(layer="squash"), "concatsquash or concatscale, not squash"),
        ({}, Hints(layer="concat"), "not concat"),
        ({"layer": "scale"}, Hints(layer="ignore"), "squash or scale, not ignore"),
        ({}, Hints(nonlinearity="swish"), "not swish"),
        ({"nonlinearity": "swish"}, Hints(nonlinearity="tanh"), "swish, not tanh"),
        ({}, Hints(time_length=0.5), "it was trained"),
        ({"train_time": False}, Hints(time_length=-1.0), "positive"),
        ({"train_time": False}, Hints(time_length=math.inf), "positive"),
        ({"deterministic": True, "latent_blocks": 2}, Hints(), "several blocks"),
    ],
)
def test_hints_that_the_keys_contradict_are_refused(official, options, hint, words):
    with pytest.raises(ValueError, match=words):
        from_official(official.state(official.Options(**options)), hint)


def flow(**changes):
    return CnfConfig(field=ConcatSquashConfig(dims=(8,), **changes))


FOREIGN = {
    "kind concatsquash, this one is residual": {
        "points": CnfConfig(field=ResidualConfig(width=8, depth=1, condition_width=8))
    },
    "encoder: the official one": {"encoder": PointNetConfig(widths=(8, 16), head=(8,))},
    "the official one is a pointnet, got a revnet": {"encoder": RevNetConfig(depth=1)},
    "layer: the official code has one for both": {"points": flow(layer="scale")},
    "nonlinearity: the official code has one": {"prior": flow(nonlinearity="relu")},
    "train_end_time": {"prior": flow(train_end_time=False)},
    "batch_norm": {"prior": CnfConfig(batch_norm=False)},
    "end_time: the official code has one for all fields, this model": {
        "points": flow(train_end_time=False),
        "prior": flow(train_end_time=False, end_time=1.0),
    },
    "layer concat is broken": {"points": flow(layer="concat"), "prior": flow(layer="concat")},
    "at least one hidden layer": {"points": CnfConfig(field=ConcatSquashConfig(dims=()))},
}


@pytest.mark.parametrize("words", FOREIGN)
def test_what_the_official_code_cannot_hold_is_refused_with_the_reason(words):
    model = PointFlowConfig(**FOREIGN[words]).build()
    with pytest.raises(ValueError, match=words):
        to_official(model)


def test_slopes_that_differ_are_refused_both_ways(official):
    state = official.state(official.Options(nonlinearity="swish"))
    model = from_official(state)
    fields(model)[0].activations[0].beta.data.fill_(2.0)
    with pytest.raises(ValueError, match=r"one slope .* from 1.3 to 2"):
        to_official(model)
    state["latent_cnf.chain.1.odefunc.diffeq.activation_fns.0.beta"] = torch.tensor(2.0)
    with pytest.raises(ValueError, match="one slope"):
        from_official(state)


def test_options_are_those_of_the_official_scripts(official):
    options = dataclasses.replace(official.Options(), layer="scale", batch_norm=False)
    model = from_official(official.state(options), hints(options))
    assert " ".join(official_options(model)) == (
        "--zdim 8 --dims 12-10 --num_blocks 1 --use_latent_flow --latent_dims 9-11 "
        "--latent_num_blocks 1 --layer_type scale --batch_norm False"
    )
    swish = official.Options(nonlinearity="swish", deterministic=True, latent_dims=None)
    assert official_options(from_official(official.state(swish)))[-3:] == [
        "--use_deterministic_encoder", "--nonlinearity", "swish",
    ]  # fmt: skip

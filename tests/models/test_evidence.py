"""An importance-weighted bound, against a model whose evidence is known."""

import math

import torch

from pointgen.models.evidence import weighed
from pointgen.models.posterior import Posterior


def normal(x, mean, std):
    return torch.distributions.Normal(mean, std).log_prob(x).sum(-1)


def test_it_comes_to_the_evidence_of_a_linear_gaussian():
    """z ~ N(0, 1), x | z ~ N(z, 0.5^2): x ~ N(0, 1.25), q a little off the true posterior."""
    x = torch.linspace(-2, 2, 5).unsqueeze(1)
    posterior = Posterior(0.7 * x, torch.full_like(x, math.log(0.3)))
    found = weighed(
        posterior,
        lambda z: normal(x, z, 0.5),
        lambda z: normal(z, torch.zeros(1), torch.ones(1)),
        draws=20_000,
        generator=torch.Generator().manual_seed(0),
    )
    truth = normal(x, torch.zeros(1), torch.full((1,), math.sqrt(1.25)))
    assert ((found.log_prob - truth).abs() < 4 * found.error).all()
    assert (found.error < 0.01).all()
    assert (found.points + found.code < found.log_prob).all()  # Jensen


def test_the_error_is_the_spread_of_repeated_estimates():
    x = torch.ones(1, 1)
    posterior = Posterior(0.5 * x, torch.full_like(x, math.log(0.4)))

    def once(seed):
        return weighed(
            posterior,
            lambda z: normal(x, z, 0.5),
            lambda z: normal(z, torch.zeros(1), torch.ones(1)),
            draws=400,
            generator=torch.Generator().manual_seed(seed),
        )

    each = [once(seed) for seed in range(200)]
    spread = torch.stack([one.log_prob for one in each]).std()
    error = torch.stack([one.error for one in each]).mean()
    assert 0.8 < (error / spread).item() < 1.25


def test_a_single_draw_has_no_error():
    x = torch.ones(2, 1)
    one = weighed(Posterior(x, x), lambda z: z.sum(-1), lambda z: z.sum(-1), draws=1)
    assert one.error.isnan().all() and one.log_prob.isfinite().all()

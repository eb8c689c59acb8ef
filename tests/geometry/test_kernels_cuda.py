"""The Triton kernels against naive twins in double precision.

Triton decides when it is imported whether it compiles or interprets. So `test_in_the_interpreter`
runs this file once more in a process of its own, with TRITON_INTERPRET=1 and tensors on the CPU;
with `-m gpu` on a machine with a card the same tests run compiled.
"""

import importlib.metadata
import importlib.util
import os
import subprocess
import sys

import pytest
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
NO_TRITON = importlib.util.find_spec("triton") is None
ON_A_CARD = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
pytestmark = pytest.mark.skipif(NO_TRITON, reason="triton is not installed")

# Points of the clouds; with tiles this small they make several programs and turns of the loop.
TILE = (32, 16)
SIZES = [(1, 1), (1, 70), (33, 1), (32, 71)]


@pytest.fixture(params=["cpu"] if INTERPRETED else [pytest.param("cuda", marks=ON_A_CARD)])
def device(request):
    return request.param


@pytest.fixture
def kernels(device):
    from pointgen.geometry.kernels import cuda

    return cuda


@pytest.fixture(params=[torch.float32, torch.float64], ids=["single", "double"])
def dtype(request):
    return request.param


def clouds(seed: int, *shape: int, dtype: torch.dtype, device: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, 3, generator=generator, dtype=torch.float64).to(device, dtype)


def squared(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a.double()[:, :, None] - b.double()[:, None]).square().sum(dim=-1)


def means_naive(a: torch.Tensor, b: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
    table = squared(a[pairs[:, 0]], b[pairs[:, 1]])
    sides = [table.amin(dim=2), table.amin(dim=1)]
    return torch.stack([d.mean(dim=1) for d in sides], dim=1)


def assert_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Up to a few roundings of the precision of `found`, relative to each number."""
    rounding = 4 * torch.finfo(found.dtype).eps
    torch.testing.assert_close(found.double(), expected, rtol=rounding, atol=0)


@pytest.mark.skipif(INTERPRETED, reason="this is the interpreter")
def test_in_the_interpreter(pytestconfig):
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__],
        cwd=pytestconfig.rootpath,
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_nearest_equals_the_naive_twin(kernels, device, dtype, n, m):
    a = clouds(0, 2, n, dtype=dtype, device=device)
    b = clouds(1, 2, m, dtype=dtype, device=device)
    distance, index = kernels.nearest(a, b, tile=TILE)
    expected = squared(a, b).min(dim=2)
    assert distance.dtype == dtype
    assert_close(distance, expected.values)
    assert torch.equal(index, expected.indices)


@pytest.mark.parametrize("tile", [TILE, (16, 64)])
def test_nearest_takes_the_first_of_equally_near_ones(kernels, device, tile):
    corners = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    middle = torch.full((1, 1, 3), 0.5)
    order = torch.randperm(8)
    b = torch.cat([torch.full((5, 3), 9.0), *[corners[order]] * 8])[None].to(device)
    assert kernels.nearest(middle.to(device), b, tile=tile)[1].item() == 5
    index = kernels.nearest(corners[None].to(device), b, tile=tile)[1]
    assert torch.equal(index.cpu()[0], 5 + order.argsort())


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_means_equal_the_naive_twin(kernels, device, dtype, n, m):
    a = clouds(0, 3, n, dtype=dtype, device=device)
    b = clouds(1, 2, m, dtype=dtype, device=device)
    pairs = torch.tensor([[0, 1], [2, 0]], device=device)
    means = kernels.pair_means(a, b, pairs, tile=TILE)
    assert means.dtype == dtype
    assert_close(means, means_naive(a, b, pairs))


def test_the_usual_tile(kernels, device):
    a = clouds(0, 1, 65, dtype=torch.float32, device=device)
    b = clouds(1, 1, 130, dtype=torch.float32, device=device)
    assert torch.equal(kernels.nearest(a, b)[1], squared(a, b).argmin(dim=2))
    pairs = torch.tensor([[0, 0]], device=device)
    assert_close(kernels.pair_means(a, b, pairs), means_naive(a, b, pairs))


def test_no_pairs(kernels, device):
    a = clouds(0, 2, 5, dtype=torch.float32, device=device)
    none = torch.empty(0, 2, dtype=torch.int64, device=device)
    assert kernels.pair_means(a, a, none).shape == (0, 2)


def test_near_points_far_from_the_origin(kernels, device):
    # |a|^2 + |b|^2 - 2ab would leave nothing of these distances.
    a = clouds(0, 1, 40, dtype=torch.float32, device=device) + 1000
    b = a + 1e-3 * clouds(1, 1, 40, dtype=torch.float32, device=device)
    assert_close(kernels.nearest(a, b, tile=TILE)[0], squared(a, b).amin(dim=2))
    assert (kernels.nearest(a, a, tile=TILE)[0] == 0).all()


def test_symmetric_to_the_bit(kernels, device):
    a = clouds(0, 2, 40, dtype=torch.float32, device=device)
    b = clouds(1, 3, 27, dtype=torch.float32, device=device)
    pairs = torch.tensor([[0, 2], [1, 0]], device=device)
    means = kernels.pair_means(a, b, pairs, tile=TILE)
    swapped = kernels.pair_means(b, a, pairs.flip(1), tile=TILE)
    assert torch.equal(means, swapped.flip(1))


def test_a_broken_point_shows(kernels, device):
    a = clouds(0, 2, 20, dtype=torch.float32, device=device)
    b = clouds(1, 2, 40, dtype=torch.float32, device=device)
    b[1, 7, 2] = torch.nan
    pairs = torch.tensor([[0, 0], [0, 1]], device=device)
    means = kernels.pair_means(a, b, pairs, tile=TILE)
    assert means.isnan().tolist() == [[False, False], [True, True]]
    distance, index = kernels.nearest(b, a, tile=TILE)
    assert distance.isnan().nonzero().tolist() == [[1, 7]]
    assert 0 <= index.min() <= index.max() < 20
    distance, index = kernels.nearest(a, b, tile=TILE)
    assert distance.isnan().all(dim=1).tolist() == [False, True]
    assert 0 <= index.min() <= index.max() < 40


@pytest.mark.parametrize("crowd", [False, True], ids=["spread", "one nearest of all"])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 9), (70, 53)])
def test_gradient_equals_autograd(kernels, device, dtype, n, m, crowd):
    a = clouds(0, 2, n, dtype=dtype, device=device).requires_grad_()
    b = clouds(1, 2, m, dtype=dtype, device=device).requires_grad_()
    grad = torch.tensor([1.5, -0.25], dtype=dtype, device=device)
    table = squared(a, b).detach()
    index_ab, index_ba = table.argmin(dim=2), table.argmin(dim=1)
    if crowd:
        index_ba.fill_(n - 1)

    def take(points: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return points.double().gather(1, index[..., None].expand(-1, -1, 3))

    there = (a.double() - take(b, index_ab)).square().sum(dim=-1).mean(dim=1)
    back = (b.double() - take(a, index_ba)).square().sum(dim=-1).mean(dim=1)
    expected = torch.autograd.grad(((there + back) * grad).sum(), (a, b))
    found = kernels.chamfer_gradient(a.detach(), b.detach(), index_ab, index_ba, grad)
    for x, y in zip(found, expected, strict=True):
        # Relative to the largest pull: the pulls on a point may cancel each other.
        rounding = 16 * torch.finfo(dtype).eps * y.abs().max().item()
        torch.testing.assert_close(x, y, rtol=0, atol=rounding)


COMPILE = """
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from pointgen.geometry.kernels import cuda

TYPES = {"blocks": "i32", "count": "i32", "a_size": "i32", "b_size": "i32", "b_count": "i32"}
TYPES |= {name: "*i64" for name in ("i", "j", "index", "index_ab", "order", "bounds")}
TYPES |= {"sums": "*fp64"}
CONSTANTS = {"ROWS": 16, "COLUMNS": 32, "TILES": 1}
for kernel in (cuda._nearest_kernel, cuda._sums_kernel, cuda._pull_kernel):
    for number in ("fp32", "fp64"):
        constants = {k: v for k, v in CONSTANTS.items() if k in kernel.arg_names}
        types = {name: TYPES.get(name, "*" + number) for name in kernel.arg_names}
        types |= dict.fromkeys(constants, "constexpr")
        source = ASTSource(kernel, types, constants)
        options = {"num_warps": 4, "enable_fp_fusion": False}
        code = compile(source, target=GPUTarget("cuda", 80, 32), options=options).asm["ptx"]
        assert "atom." not in code and "mma." not in code
        assert kernel is cuda._pull_kernel or "min.NaN.f32" in code or number == "fp64"
"""


@pytest.mark.skipif(INTERPRETED, reason="the interpreter compiles nothing")
def test_compiles_without_a_card(tmp_path):
    """What the interpreter forgives, the compiler may not; and neither may sneak in atomics."""
    major, minor = map(int, importlib.metadata.version("triton").split(".")[:2])
    if (major, minor) < (3, 3):
        pytest.skip("before version 3.3 Triton's compiler is called in another way")
    run = subprocess.run(
        [sys.executable, "-c", COMPILE],
        env={**os.environ, "TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.gpu
def test_all_pairs_of_two_sets_in_one_call(kernels):
    a = clouds(0, 405, 100, dtype=torch.float32, device="cuda")
    b = clouds(1, 405, 70, dtype=torch.float32, device="cuda")
    pairs = torch.cartesian_prod(*[torch.arange(405, device="cuda")] * 2)
    means = kernels.pair_means(a, b, pairs)
    assert torch.equal(means, kernels.pair_means(a, b, pairs))
    for some in torch.randperm(len(pairs), device="cuda")[:4000].split(1000):
        assert_close(means[some], means_naive(a, b, pairs[some]))


@pytest.mark.gpu
def test_one_large_cloud(kernels):
    a = clouds(0, 1, 200_001, dtype=torch.float32, device="cuda")
    b = clouds(1, 1, 150_003, dtype=torch.float32, device="cuda")
    distance, index = kernels.nearest(a, b)
    some = torch.randperm(a.shape[1], device="cuda")[:500]
    expected = squared(a[:, some], b).min(dim=2)
    assert_close(distance[:, some], expected.values)
    # In single precision two of so many may be equally near.
    assert_close(
        squared(a[:, some], b).gather(2, index[:, some, None]).squeeze(2).float(), expected.values
    )
    means = kernels.pair_means(a, b, torch.zeros(1, 2, dtype=torch.int64, device="cuda"))
    assert_close(means[:, :1], distance.double().mean(dim=1, keepdim=True))


@pytest.mark.gpu
def test_coordinates_beyond_32_bits(kernels):
    """The last cloud of a set of more than 2^31 coordinates (9 GB of them)."""
    if torch.cuda.mem_get_info()[0] < 40e9:
        pytest.skip("needs 40 GB of free memory on the device")
    a = torch.zeros(7200, 100_000, 3, device="cuda", dtype=torch.float32)
    a[-1] = clouds(0, 100_000, dtype=torch.float32, device="cuda")
    b = clouds(1, 1, 50, dtype=torch.float32, device="cuda")
    means = kernels.pair_means(a, b, torch.tensor([[7199, 0]], device="cuda"))
    assert_close(means, means_naive(a[-1:], b, torch.zeros(1, 2, dtype=torch.int64)))


@pytest.mark.gpu
def test_on_a_card_that_is_not_the_current_one(kernels):
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two CUDA devices")
    a = clouds(0, 2, 70, dtype=torch.float32, device="cuda:1")
    assert torch.cuda.current_device() == 0
    assert torch.equal(kernels.nearest(a, a.flip(0))[1], squared(a, a.flip(0)).argmin(dim=2))

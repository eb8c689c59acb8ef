"""A device that computes on the CPU and lets no tensor cross unasked: `pytest --device apart`.

To torch it is another place than the CPU, as CUDA is. An operation on tensors of both fails, and so
does a generator of the CPU that is to draw here, so that no GPU is needed to find what a GPU would
refuse. It has no kernels of its own and no streams, and autocast does nothing on it.
"""

import torch
from accelerate.state import PartialState
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

aten = torch.ops.aten
CROSSINGS = {aten.copy_.default, aten._to_copy.default}
FACTORIES = (  # from which torch makes the others
    "empty.memory_format", "empty_strided", "triu_indices", "tril_indices", "eye", "eye.m",
    "arange", "arange.start", "arange.start_step", "linspace", "randperm", "randperm.generator",
)  # fmt: skip


class Apart(torch.Tensor):
    """A tensor on the device, which keeps its numbers in one of the CPU."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device("apart", 0),
        )

    def __init__(self, inner):
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return run(operation, args, kwargs or {})

    # What torch refuses to subclasses, or does to them by ways that do not lead here.

    @property
    def data(self):
        return torch.Tensor.data.__get__(self)

    @data.setter
    def data(self, other):
        torch.Tensor.data.__set__(self, other)
        self.inner = other.inner

    def tolist(self):
        return self.cpu().tolist()

    def __format__(self, form):
        return format(self.cpu(), form)

    def __repr__(self):
        return f"Apart({self.inner!r})"

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            copy = self.detach().clone().requires_grad_(self.requires_grad)
            trained = isinstance(self, torch.nn.Parameter)
            memo[id(self)] = torch.nn.Parameter(copy, self.requires_grad) if trained else copy
        return memo[id(self)]


def run(operation, args, kwargs):
    """Compute on the CPU; the result is where the operands are, or where `device` says."""
    given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    here = [tensor for tensor in given if isinstance(tensor, Apart)]
    if here and len(here) < len(given) and operation not in CROSSINGS:
        raise RuntimeError(f"{operation}: expected all tensors on one device, got apart and cpu")
    stays = isinstance(args[0], Apart) if operation is aten.copy_.default else bool(here)
    if kwargs.get("device") is not None:
        stays = torch.device(kwargs["device"]).type == "apart"
        kwargs = {**kwargs, "device": torch.device("cpu")}
    if stays and kwargs.get("generator") is not None:
        raise RuntimeError(f"{operation}: expected a generator on apart, got one on the cpu")
    args, kwargs = tree_map_only(Apart, lambda tensor: tensor.inner, (args, kwargs))
    same = {id(tensor.inner): tensor for tensor in here}  # what changes in place, or is `out`

    def place(inner):
        tensor = same[id(inner)] if id(inner) in same else Apart(inner)
        if tensor.shape != inner.shape:  # as `squeeze_` does
            torch.Tensor.data.__set__(tensor, Apart(inner))
        return tensor

    result = operation(*args, **kwargs)
    return tree_map_only(torch.Tensor, place, result) if stays else result


def install():
    """Make the device, and the place where accelerate trains."""
    _setup_privateuseone_for_python_backend("apart", backend_module=Module())
    for name in FACTORIES:
        KERNELS.impl(name, factory(name))
    KERNELS.impl("_efficientzerotensor", zeros)
    KERNELS.impl("_copy_from", copy)
    AUTOCAST.fallback(torch.library.fallthrough_kernel)
    PartialState.default_device = torch.device("apart", 0)


class Module:
    """What torch asks of `torch.apart`."""

    def is_available(self):
        return True

    def is_initialized(self):
        return True

    def _is_in_bad_fork(self):
        return False

    def manual_seed_all(self, seed):
        pass  # numbers are drawn by the CPU's generator

    def device_count(self):
        return 1

    def current_device(self):
        return 0

    def get_amp_supported_dtype(self):
        return [torch.bfloat16]


KERNELS = torch.library.Library("aten", "IMPL", "PrivateUse1")
AUTOCAST = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")


def factory(name):
    packet, _, overload = name.partition(".")
    operation = getattr(getattr(aten, packet), overload or "default")

    def make(*args, pin_memory=None, **kwargs):
        return run(operation, args, {**kwargs, "device": "apart"})

    return make


def zeros(size, *, dtype=None, **options):
    return Apart(torch.zeros(size, dtype=dtype))


def copy(source, target, non_blocking=False):
    run(aten.copy_.default, (target, source), {})
    return target

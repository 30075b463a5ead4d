"""The compiled kernels of a training step: equal to torch, and used in ordinary training only."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.kernels import (
    UNCLAMPED,
    Convolution,
    depthwise,
    depthwise_fits,
    in_use,
    norm_clamp,
    norm_fits,
    pointwise,
    pointwise_fits,
    shared_convolution,
    shared_fits,
    without_gradients,
)
from dcdnas.kernels._when import usable
from dcdnas.operators import BatchNorm, Static, activated
from dcdnas.operators._per_sample import per_sample_conv2d

needs_a_compiler = pytest.mark.skipif(not in_use(), reason="no C compiler")
pytestmark = needs_a_compiler

BOUNDS = {"none": UNCLAMPED, "relu": (0.0, math.inf), "relu6": (0.0, 6.0)}


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def last(*shape: int, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    """A random map in channels-last memory that wants a gradient."""
    x = torch.randn(shape) * scale + shift
    return x.contiguous(memory_format=torch.channels_last).requires_grad_()


def assert_close(one: Tensor, other: Tensor, tolerance: float = 1e-5) -> None:
    """Equal to a share of the largest value."""
    one, other = one.detach().double(), other.detach().double()
    assert one.shape == other.shape
    assert (one - other).abs().max() <= tolerance * max(1.0, float(other.abs().max()))


# ---- BatchNorm and its clamp ------------------------------------------------------------------------------------------

NORMS = [(2, 1, 4, 4), (4, 5, 4, 7), (3, 19, 3, 5), (16, 24, 14, 14), (33, 96, 4, 4), (130, 17, 1, 1)]


def norm_of(channels: int) -> BatchNorm:
    """A norm in the middle of a training."""
    norm = BatchNorm(channels)
    with torch.no_grad():
        for values in (norm.weight, norm.bias, norm.running_var):
            values.uniform_(0.5, 1.5)
        norm.running_mean.normal_()
    return norm


def assert_as_torch(x: Tensor, bounds: tuple[float, float], tolerance: float) -> None:
    """Values, gradients and running statistics are those of torch in float64."""
    assert norm_fits(x)
    norm = norm_of(x.shape[1])
    exact = copy.deepcopy(norm).double()
    of = x.detach().double().requires_grad_()
    y, normed = norm_clamp(x, norm, bounds), exact(of)
    z = normed if bounds == UNCLAMPED else normed.clamp(*bounds)
    g = torch.randn_like(y)
    found = torch.autograd.grad(y, (x, norm.weight, norm.bias), g)
    right = torch.autograd.grad(z, (of, exact.weight, exact.bias), g.double())
    assert y.stride() == x.stride()
    for one, other in zip((y, *found, *norm.buffers()), (z, *right, *exact.buffers()), strict=True):
        assert_close(one, other, tolerance)


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("shape", NORMS, ids=str)
def test_a_norm_and_its_clamp_are_equal_to_torchs(shape: tuple[int, ...], bounds: str) -> None:
    # a mean of 40 with a deviation of 3 has 2e-6 of it in float32: what no form in float32 can give back
    assert_as_torch(last(*shape, scale=3.0, shift=-40.0), BOUNDS[bounds], 2e-5)


def test_few_channels_of_an_odd_number_of_pixels_are_left_to_torch() -> None:
    """Several pixels of few channels are taken at once."""
    assert not norm_fits(last(3, 5, 3, 7))
    assert norm_fits(last(3, 24, 3, 7))


def test_a_first_row_far_from_the_others_costs_no_digits() -> None:
    x = last(8, 17, 12, 12).detach()
    x[0, :, 0, 0] = 200.0
    assert_as_torch(x.requires_grad_(), UNCLAMPED, 1e-5)


def test_a_gradient_that_is_spread_over_the_map_is_taken_as_it_is() -> None:
    """The gradient of a sum is one number in memory, seen from all pixels."""
    x, norm = last(4, 8, 5, 5), norm_of(8)
    of = (x, norm.weight, norm.bias)
    for one, right in zip(
        torch.autograd.grad(norm_clamp(x, norm, (0.0, 6.0)).sum(), of),
        torch.autograd.grad(F.relu6(norm(x)).sum(), of),
        strict=True,
    ):
        assert_close(one, right)


def test_nan_and_infinity_reach_the_output() -> None:
    """A training that diverges has to be seen to."""
    for wrong in (math.nan, math.inf):
        x = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
        assert norm_fits(x)
        x[0, 1, 2, 2] = wrong
        y = norm_clamp(x.requires_grad_(), norm_of(3), (0.0, 6.0))
        assert y[:, 1].isnan().any()
        assert y[:, [0, 2]].isfinite().all()


def test_without_a_momentum_the_statistics_are_means_over_all_batches() -> None:
    ours, torchs = BatchNorm(8, momentum=None), nn.BatchNorm2d(8, momentum=None)
    for _ in range(3):
        x = last(4, 8, 5, 5, shift=2.0)
        norm_clamp(x, ours)
        torchs(x)
    for one, other in zip(ours.buffers(), torchs.buffers(), strict=True):
        assert_close(one, other)


# ---- depthwise kernels, one a sample ------------------------------------------------------------------------------------

PLACES = [
    pytest.param(*place, marks=[pytest.mark.slow] * (number % 5 > 0))  # a fifth has each kernel, stride, padding and shape
    for number, place in enumerate(
        (k, stride, padding, shape)
        for k in (2, 3, 5, 7)
        for stride in (1, 2, 3)
        for padding in (0, k // 2, k - 1)
        for shape in ((2, 8, 7, 9), (3, 21, 8, 8), (2, 3, 9, 8))
    )
]


@pytest.mark.parametrize(("k", "stride", "padding", "shape"), PLACES, ids=str)
def test_a_kernel_a_sample_is_equal_to_torchs(k: int, stride: int, padding: int, shape: tuple[int, ...]) -> None:
    x, weight = last(*shape), torch.randn(*shape[:2], 1, k, k).requires_grad_()
    assert depthwise_fits(x, weight, padding, 1, shape[1])
    y = depthwise(x, weight, stride, padding)
    folded = x.reshape(1, -1, *shape[2:])
    z = F.conv2d(folded, weight.flatten(0, 1), None, stride, padding, 1, folded.shape[1]).view(y.shape)
    g = torch.randn_like(y)
    for one, other in zip(
        (y, *torch.autograd.grad(y, (x, weight), g)), (z, *torch.autograd.grad(z, (x, weight), g)), strict=True
    ):
        assert_close(one, other)


def test_maps_of_many_channels_and_kernels_of_any_memory_are_taken() -> None:
    x, weight = last(5, 40, 6, 6), torch.randn(5, 9, 40).transpose(1, 2).reshape(5, 40, 1, 3, 3).requires_grad_()
    z = per_sample_conv2d(x.double(), weight.double(), 2, 1, groups=40)
    assert_close(depthwise(x, weight, 2, 1), z)


@pytest.mark.parametrize(
    ("groups", "padding", "dilation", "shape"),
    [
        (8, 1, 2, (2, 8, 1, 3, 3)),
        (8, 3, 1, (2, 8, 1, 3, 3)),
        (1, 1, 1, (2, 8, 8, 3, 3)),
        (8, 1, 1, (1, 8, 1, 3, 3)),
        (8, 0, 1, (2, 8, 1, 9, 9)),
    ],
    ids=["dilated", "padding as large as the kernel", "dense", "one kernel for all", "larger than the map"],
)
def test_other_convolutions_are_left_to_torch(groups: int, padding: int, dilation: int, shape: tuple[int, ...]) -> None:
    assert not depthwise_fits(last(2, 8, 7, 7), torch.randn(shape), padding, dilation, groups)


def test_a_map_in_contiguous_memory_is_left_to_torch() -> None:
    assert not norm_fits(torch.randn(2, 8, 7, 7))
    assert not depthwise_fits(torch.randn(2, 8, 7, 7), torch.randn(2, 8, 1, 3, 3), 1, 1, 8)


# ---- 1x1 kernels, one a sample ----------------------------------------------------------------------------------------

MATRICES = [(2, 1, 1, 1, 1), (3, 5, 7, 2, 3), (2, 7, 5, 1, 7), (2, 24, 8, 5, 5), (3, 8, 24, 4, 4), (2, 19, 43, 3, 3)]


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("sizes", MATRICES, ids=str)
def test_a_matrix_a_sample_is_equal_to_torchs_product(sizes: tuple[int, ...], biased: bool) -> None:
    n, channels, out_channels, *side = sizes
    x, weight = last(n, channels, *side), torch.randn(n, channels, out_channels).transpose(1, 2).requires_grad_()
    bias = torch.randn(n, out_channels).requires_grad_() if biased else None
    assert pointwise_fits(x, weight, bias)
    y, z = pointwise(x, weight, bias), weight @ x.flatten(2) + (0 if bias is None else bias.unsqueeze(2))
    z, of = z.view(n, out_channels, *side), [x, weight] if bias is None else [x, weight, bias]
    g = torch.randn_like(y)
    for one, other in zip((y, *torch.autograd.grad(y, of, g)), (z, *torch.autograd.grad(z, of, g)), strict=True):
        assert_close(one, other)


def test_other_products_are_left_to_torch() -> None:
    x, weight = last(2, 8, 3, 3), torch.randn(2, 4, 8)
    assert pointwise_fits(x, weight, torch.randn(2, 4))
    assert not pointwise_fits(x.contiguous(), weight, None)
    assert not pointwise_fits(x, weight[:1], None)
    assert not pointwise_fits(x, weight, torch.randn(4))
    assert not pointwise_fits(last(2, 256, 1, 1), torch.randn(2, 129, 256), None)


# ---- one kernel for all samples ----------------------------------------------------------------------------------------

SHARED = [
    ((3, 5, 4, 7), (7, 5, 1, 1), Convolution(1, 0, 1)),
    ((16, 24, 3, 3), (8, 24, 1, 1), Convolution(1, 0, 1)),
    ((3, 8, 9, 9), (24, 8, 1, 1), Convolution(1, 0, 1)),
    ((2, 1, 2, 2), (1, 1, 1, 1), Convolution(1, 0, 1)),
    ((3, 21, 8, 9), (21, 1, 5, 5), Convolution(1, 2, 21)),
    ((2, 8, 7, 9), (8, 1, 5, 5), Convolution(2, 2, 8)),
    ((2, 3, 9, 8), (3, 1, 7, 7), Convolution(1, 3, 3)),
]


@pytest.mark.parametrize("wanted", ["both", "map", "kernel"])
@pytest.mark.parametrize(("shape", "kernel", "how"), SHARED, ids=str)
def test_one_kernel_for_all_samples_is_equal_to_torchs(
    shape: tuple[int, ...], kernel: tuple[int, ...], how: Convolution, wanted: str
) -> None:
    x, weight = last(*shape), torch.randn(kernel).requires_grad_()
    of = [x] * (wanted != "kernel") + [weight] * (wanted != "map")
    for tensor in {x, weight} - set(of):
        tensor.requires_grad_(False)
    assert shared_fits(x, weight, how)
    y = shared_convolution(x, weight, how)
    z = F.conv2d(x, weight, None, how.stride, how.padding, 1, how.groups)
    assert y.is_contiguous(memory_format=torch.channels_last)
    g = torch.randn_like(y)
    for one, other in zip((y, *torch.autograd.grad(y, of, g)), (z, *torch.autograd.grad(z, of, g)), strict=True):
        assert_close(one, other)


@pytest.mark.parametrize(
    ("kernel", "how"),
    [
        ((8, 8, 3, 3), Convolution(1, 1, 1)),
        ((8, 1, 3, 3), Convolution(1, 1, 8)),
        ((8, 8, 1, 1), Convolution(2, 0, 1)),
        ((8, 8, 1, 1), Convolution(1, 1, 1)),
        ((8, 4, 1, 1), Convolution(1, 0, 2)),
        ((16, 1, 5, 5), Convolution(1, 2, 8)),
        ((513, 8, 1, 1), Convolution(1, 0, 1)),
        ((8, 1, 9, 9), Convolution(1, 4, 8)),
        ((8, 1, 5, 5), Convolution(1, 5, 8)),
    ],
    ids=str,
)
def test_other_layers_of_one_kernel_are_left_to_torch(kernel: tuple[int, ...], how: Convolution) -> None:
    assert not shared_fits(last(2, 8, 9, 9), torch.randn(kernel), how)


def test_a_map_in_contiguous_memory_or_of_no_sample_is_left_to_torch() -> None:
    weight, how = torch.randn(8, 8, 1, 1), Convolution(1, 0, 1)
    assert shared_fits(last(2, 8, 9, 9), weight, how)
    assert not shared_fits(torch.randn(2, 8, 9, 9), weight, how)
    assert not shared_fits(last(0, 8, 9, 9), weight, how)


@pytest.mark.parametrize(
    ("place", "others", "used"),
    [
        ((8, 24, 1), {}, True),
        ((8, 8, 5), {"padding": 2, "groups": 8}, True),
        ((8, 8, 5), {"padding": 4, "groups": 8, "dilation": 2}, False),
        ((8, 24, 1), {"bias": True}, False),
    ],
    ids=str,
)
def test_static_layers_train_with_them(
    place: tuple[int, int, int], others: dict[str, Any], used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = counts(monkeypatch)
    layer, x = Static(*place, **others), last(2, 8, 9, 9)
    layer(x)
    assert called == ["shared"] * used
    called.clear()
    with torch.no_grad():
        layer(x)
    assert called == []


# ---- derivatives of derivatives -----------------------------------------------------------------------------------------


def test_the_gradients_have_gradients() -> None:
    """As torch's own: a gradient penalty trains."""
    x, norm = last(3, 4, 4, 4), norm_of(4)
    kernel, matrices, bias = (torch.randn(s).requires_grad_() for s in ((3, 4, 1, 3, 3), (3, 2, 4), (3, 2)))
    wide, mixing = torch.randn(4, 1, 5, 5).requires_grad_(), torch.randn(4, 4, 1, 1).requires_grad_()
    around, beside = Convolution(1, 2, 4), Convolution(1, 0, 1)

    def penalty(normed: Callable[..., Tensor], convolve: Callable[..., Tensor], mix: Callable[..., Tensor]) -> tuple[Tensor, ...]:
        y = mix(convolve(normed(x))).square().sum()
        (g,) = torch.autograd.grad(y, x, create_graph=True)
        return torch.autograd.grad(g.square().sum(), (x, norm.weight, kernel, matrices, bias, wide, mixing))

    ours = penalty(
        lambda x: norm_clamp(x, norm, (0.0, 6.0)),
        lambda y: shared_convolution(shared_convolution(depthwise(y, kernel, 1, 1), wide, around), mixing, beside),
        lambda y: pointwise(y, matrices, bias),
    )
    torchs = penalty(
        lambda x: F.relu6(norm(x)),
        lambda y: F.conv2d(
            F.conv2d(
                F.conv2d(y.reshape(1, 12, 4, 4), kernel.flatten(0, 1), None, 1, 1, 1, 12).view(y.shape), wide, None, 1, 2, 1, 4
            ),
            mixing,
        ),
        lambda y: (matrices @ y.flatten(2) + bias.unsqueeze(2)).view(3, 2, 4, 4),
    )
    for one, other in zip(ours, torchs, strict=True):
        assert_close(one, other, 1e-4)


def test_a_kernel_that_depends_on_its_map_is_not_counted_twice() -> None:
    """The gradients that have gradients are those of the convolution alone: what made the kernel has a way back of its own."""
    x, weight = last(3, 4, 4, 4), torch.randn(4, 2, 4).requires_grad_()
    made = (weight.sum((1, 2)) * x.mean((2, 3)))[:, :, None, None, None].expand(-1, -1, -1, 3, 3)
    y = pointwise(depthwise(x, made, 1, 1), made[:, :2, 0, 0, :1] * weight[0])
    g = torch.randn_like(y)
    for one, other in zip(
        torch.autograd.grad(y, (x, weight), g, create_graph=True),
        torch.autograd.grad(y, (x, weight), g, retain_graph=True),
        strict=True,
    ):
        assert_close(one, other)


# ---- when they are used -------------------------------------------------------------------------------------------------


def norm_layer() -> tuple[BatchNorm, nn.Module]:
    return BatchNorm(4), nn.ReLU6()


def counts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the kernels that are called from now on."""
    called: list[str] = []

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            called.append(name)
            return function(*given)

        return call

    monkeypatch.setattr("dcdnas.operators._norm.norm_clamp", counted("norm", norm_clamp))
    monkeypatch.setattr("dcdnas.operators._per_sample.depthwise", counted("depthwise", depthwise))
    monkeypatch.setattr("dcdnas.operators._per_sample.pointwise", counted("pointwise", pointwise))
    monkeypatch.setattr("dcdnas.operators._shared_conv.shared_convolution", counted("shared", shared_convolution))
    return called


def all_of_them(x: Tensor, norm: nn.Module, activation: nn.Module) -> Tensor:
    """A norm with its activation, and a depthwise and a 1x1 convolution with a kernel a sample."""
    y = activated(x, norm, activation)
    y = per_sample_conv2d(y, torch.ones(len(x), 4, 1, 3, 3), 1, 1, 1, 4)
    return per_sample_conv2d(y, torch.ones(len(x), 3, 4, 1, 1))


def test_ordinary_training_uses_them(monkeypatch: pytest.MonkeyPatch) -> None:
    called = counts(monkeypatch)
    norm, activation = norm_layer()
    y = all_of_them(last(2, 4, 6, 6), norm, activation)
    assert called == ["norm", "depthwise", "pointwise"]
    y.sum().backward()
    assert norm.num_batches_tracked == 1


def test_passes_in_training_mode_may_use_them_without_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    called = counts(monkeypatch)
    with without_gradients():
        y = all_of_them(last(2, 4, 6, 6), *norm_layer())
    assert not y.requires_grad
    assert called == ["norm", "depthwise", "pointwise"]
    with torch.no_grad():
        all_of_them(last(2, 4, 6, 6), *norm_layer())
    assert len(called) == 3


def fake(x: Tensor, *layers: nn.Module) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        all_of_them(mode.from_tensor(x), *layers)


def dispatched(x: Tensor, *layers: nn.Module) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False):
        all_of_them(x, *layers)


def several_threads(x: Tensor, *layers: nn.Module) -> None:
    torch.set_num_threads(2)
    try:
        all_of_them(x, *layers)
    finally:
        torch.set_num_threads(1)


def watched(x: Tensor, norm: nn.Module, activation: nn.Module) -> None:
    seen: list[Tensor] = []
    norm.register_forward_hook(lambda module, given, y: seen.append(y))
    activated(x, norm, activation)
    assert len(seen) == 1


ELSEWHERE: dict[str, Callable[..., Any]] = {
    "without gradients": torch.no_grad()(all_of_them),
    "in float64": lambda x, norm, activation: all_of_them(x.double(), norm.double(), activation).double(),
    "in half precision": lambda x, *layers: torch.autocast("cpu", dtype=torch.bfloat16)(all_of_them)(x, *layers),
    "traced": lambda x, *layers: torch.jit.trace(
        lambda x: activated(x, layers[0].requires_grad_(False), layers[1]), x, check_trace=False
    ),
    "with fake tensors": fake,
    "counted as it is dispatched": dispatched,
    "differentiated by a function": lambda x, *_: torch.func.grad(lambda x: all_of_them(x, nn.Identity(), nn.Identity()).sum())(
        x.detach()
    ),
    "differentiated forward": lambda x, *_: torch.func.jvp(lambda x: all_of_them(x, nn.Identity(), nn.Identity()), (x,), (x,)),
    "with several threads": several_threads,
    "with a hook": watched,
}


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # of the norm's own look at a shape
@pytest.mark.parametrize("where", ELSEWHERE)
def test_elsewhere_torch_computes(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called, layers = counts(monkeypatch), norm_layer()
    if where == "in float64":
        monkeypatch.setattr(torch, "ones", lambda *shape: torch.full(shape, 1.0, dtype=torch.float64))
    ELSEWHERE[where](last(2, 4, 6, 6), *layers)
    assert called == []


def test_evaluation_and_other_norms_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    called, x = counts(monkeypatch), last(2, 4, 6, 6)
    for norm in (BatchNorm(4).eval(), nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.Identity()):
        activated(x, norm, nn.ReLU6())
    activated(x, BatchNorm(4), nn.Hardswish())
    assert called == []


def test_a_torch_that_does_not_tell_where_it_is_computes_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcdnas.kernels._when.TELLS", False)
    called = counts(monkeypatch)
    all_of_them(last(2, 4, 6, 6), *norm_layer())
    assert called == []


def test_a_subclass_of_a_tensor_is_left_to_torch() -> None:
    class Recorded(Tensor):
        pass

    assert usable(torch.zeros(1))
    assert not usable(torch.zeros(1).as_subclass(Recorded))

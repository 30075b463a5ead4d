"""DCD: its kernel is the paper's formula, its sizes follow the paper's and the published rules, its forms fold what they say."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from contract import image, make, oracle, place
from thoroughness import in_turn

from dcdnas.core.architecture import Architecture
from dcdnas.core.geometry import ConvGeometry
from dcdnas.errors import GeometryError, UsageError
from dcdnas.networks import slots_of
from dcdnas.operators._pool import pooled, quarters
from dcdnas.operators.dcd import DCD
from dcdnas.operators.dcd._plan import Plan
from dcdnas.operators.static import Static

RULES = ("pointwise", "bottleneck", "basic", "classifier")


def params(operator):
    return sum(p.numel() for p in operator.parameters())


def kernel_by_definition(operator, scale, phi):
    """W(x) of one sample, element by element as the paper writes it: (D, C/g, k, k)."""
    g, residual = operator.geometry, operator.residual
    weight = operator.weight * scale[:, None, None, None]
    if g.depthwise:
        return weight + (residual.p @ phi @ residual.r.t()).view_as(weight)
    blocks = g.groups * operator.num_blocks
    p, q = residual.p.flatten(1).chunk(blocks), residual.q.flatten(1).chunk(blocks)
    full = torch.zeros(g.out_channels, g.in_channels, g.kernel_size, g.kernel_size, dtype=weight.dtype)
    for b in range(blocks):
        rows = slice(b * g.out_channels // blocks, (b + 1) * g.out_channels // blocks)
        columns = slice(b * g.in_channels // blocks, (b + 1) * g.in_channels // blocks)
        for u in range(g.kernel_size):
            for v in range(g.kernel_size):
                if operator.kernel_form == "tensor":
                    full[rows, columns, u, v] = p[b] @ (phi[b] @ residual.r[u * g.kernel_size + v]) @ q[b]
                elif u == v == g.kernel_size // 2:
                    full[rows, columns, u, v] = p[b] @ phi[b] @ q[b]
    step = g.in_channels // g.groups
    kept = [full[d : d + 1, d * g.groups // g.out_channels * step :][:, :step] for d in range(g.out_channels)]
    return weight + torch.cat(kept)


@pytest.mark.parametrize(
    ("geometry", "settings"),
    [
        (place(8, 24, 1), {}),
        (place(8, 12, 3, 2), {"num_blocks": 4}),
        (place(8, 12, 3), {"kernel_form": "tensor", "num_blocks": 2}),
        (place(8, 12, 5, groups=2), {"num_blocks": 2}),
        (place(6, 6, 3, groups=6), {"latent_dim": 2}),
        (place(4, 8, 5, groups=4), {"latent_dim": "double"}),
    ],
)
def test_the_output_is_the_convolution_with_the_papers_kernel(geometry, settings):
    operator = make(DCD, geometry, **settings)
    x = image(geometry)
    scale, phi = operator.controller(x)
    g = geometry
    for n in range(2):
        kernel = kernel_by_definition(operator, scale[n], phi[n])
        expected = F.conv2d(x[n : n + 1], kernel, None, g.stride, g.padding, g.dilation, g.groups)
        torch.testing.assert_close(operator(x)[n : n + 1], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("channels", "latent"), [(64, 8), (96, 12), (144, 18), (576, 36), (960, 60), (1024, 32), (3, 3), (1, 1)])
def test_the_latent_dimension_is_the_papers_rule(channels, latent):
    assert DCD.resolve(ConvGeometry(channels, channels + 5))["latent_dim"] == latent
    assert DCD.resolve(ConvGeometry(channels + 5, channels), latent_dim="half")["latent_dim"] == max(1, latent // 2)


def test_the_latent_dimension_is_that_of_one_block():
    assert DCD.resolve(ConvGeometry(256, 512), num_blocks=4)["latent_dim"] == 8
    assert DCD.resolve(ConvGeometry(256, 512, groups=4))["latent_dim"] == 8
    assert DCD.resolve(ConvGeometry(256, 512, groups=2), num_blocks=2, latent_dim="double")["latent_dim"] == 16


def test_a_latent_dimension_above_the_blocks_channels_is_cut():
    assert DCD.resolve(ConvGeometry(8, 64), latent_dim=100)["latent_dim"] == 8
    assert DCD.resolve(ConvGeometry(8, 64), latent_dim=100, num_blocks=4)["latent_dim"] == 2


@pytest.mark.parametrize(
    ("geometry", "asked", "got"),
    [
        (place(24, 16, 1), 16, 8),
        (place(24, 16, 1), 4, 4),
        (place(24, 16, 1, groups=4), 4, 2),
        (place(5, 7, 1), 8, 1),
        (place(8, 8, 3, groups=8), 4, 1),
    ],
)
def test_the_number_of_blocks_is_cut_to_what_divides_the_channels(geometry, asked, got):
    assert DCD.resolve(geometry, num_blocks=asked)["num_blocks"] == got


def test_settings_that_a_geometry_cannot_use_resolve_to_their_only_value():
    assert DCD.resolve(place(8, 8, 1), kernel_form="tensor") == DCD.resolve(place(8, 8, 1))
    assert DCD.resolve(place(8, 8, 3, groups=8), kernel_form="tensor", num_blocks=4) == DCD.resolve(place(8, 8, 3, groups=8))
    assert DCD.resolve(place(8, 8, 3), rule="classifier") == DCD.resolve(place(8, 8, 3))


def test_the_published_layer_refuses_groups_and_says_what_to_do():
    with pytest.raises(GeometryError, match=r"groups is 8. Allowed: groups 1. Use variant paper"):
        DCD.resolve(place(8, 8, 3, groups=8), variant="code")


@pytest.mark.parametrize(
    "bad", [{"num_blocks": 3}, {"latent_dim": 0}, {"latent_dim": "large"}, {"variant": "mine"}, {"reduction": 0}]
)
def test_values_that_are_never_legal_are_refused(bad):
    with pytest.raises(UsageError, match=f"{next(iter(bad))} cannot be"):
        DCD.resolve(place(8, 8, 1), **bad)


@pytest.mark.parametrize("channels", [64, 256, 1024])
def test_the_parameters_are_those_of_the_papers_formula(channels):
    c, latent, r = channels, DCD.resolve(ConvGeometry(channels, channels))["latent_dim"], 16
    assert params(DCD(c, c, 1)) == c * c + 2 * c * latent + (2 * c + latent**2) * c // r


@pytest.mark.parametrize(
    ("geometry", "rule", "reduction", "count"),
    [
        (ConvGeometry(64, 64), "pointwise", 8, 6752),
        (ConvGeometry(64, 64), "pointwise", 16, 5936),
        (ConvGeometry(96, 24), "pointwise", 16, 6249),
        (ConvGeometry(160, 960), "pointwise", 16, 257_680),
        (ConvGeometry(64, 64), "bottleneck", 16, 5936),
        (ConvGeometry(64, 128, 3, 2), "bottleneck", 16, 76_336),
        (ConvGeometry(64, 64, 3), "basic", 16, 48_448),
        (ConvGeometry(64, 128, 3, 2), "basic", 16, 87_360),
        (ConvGeometry(1280, 1000), "classifier", 16, 1_460_840 - 1000),
    ],
)
def test_the_parameters_of_the_variant_code_are_those_of_the_published_layers(geometry, rule, reduction, count):
    assert params(DCD.at(geometry, variant="code", rule=rule, reduction=reduction)) == count


@pytest.mark.parametrize("channels", range(1, 20))
def test_the_published_rules_give_a_layer_for_any_number_of_channels(channels):
    for rule in RULES:
        operator = DCD(channels, 21 - channels, 3, padding=1, variant="code", rule=rule)
        assert operator(torch.randn(2, channels, 3, 3)).isfinite().all()


@pytest.mark.parametrize(
    ("rule", "geometry"), in_turn(RULES, [place(8, 24, 1), place(24, 8, 1, 2), place(8, 12, 3, 2), place(12, 5, 3, dilation=2)])
)
@pytest.mark.parametrize("bias", [False, True])
def test_the_published_layers_norms_fold_exactly(rule, geometry, bias):
    g = geometry
    operator = make(DCD, g, variant="code", rule=rule)
    if bias:
        operator.bias = torch.nn.Parameter(torch.randn(g.out_channels, dtype=torch.float64))
    settings = operator._settings()
    outputs = []
    for form in DCD.FORMS:
        operator.form = form
        outputs.append(operator(image(g)))
        if not bias:
            single = DCD.at(g, form, **settings).eval()
            assert oracle(single, image(g, 1, torch.float32)) == DCD.multiply_adds(g, settings, form)
    for other in outputs[1:]:
        torch.testing.assert_close(other, outputs[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("settings", [{}, {"kernel_form": "tensor"}, {"variant": "code"}, {"channel_attention": False}])
@pytest.mark.parametrize("padding", [0, 1, 2, 3])
@pytest.mark.parametrize("kernel_size", [2, 3, 4])
def test_forms_agree_at_any_padding_and_for_even_kernels(settings, padding, kernel_size):
    torch.manual_seed(0)
    operator = DCD(4, 6, kernel_size, 2, padding, **settings, init="published").double().eval()
    x = torch.randn(2, 4, 9, 8, dtype=torch.float64)
    outputs = []
    for form in operator.forms(operator.geometry, operator._settings()):
        operator.form = form
        outputs.append(operator(x))
    for other in outputs:
        assert other.shape == F.conv2d(x, operator.weight, None, 2, padding).shape
        torch.testing.assert_close(other, outputs[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("settings", [{}, {"variant": "code"}, {"kernel_form": "tensor"}])
@pytest.mark.parametrize("geometry", [place(8, 12, 3), place(8, 24, 1), place(8, 8, 3, groups=8)])
def test_the_default_start_is_the_static_convolution(settings, geometry):
    if geometry.depthwise and "variant" in settings:
        settings = {}
    torch.manual_seed(0)
    operator = DCD.at(geometry, **settings).eval()
    static = Static.at(geometry)
    static.weight = operator.weight
    torch.testing.assert_close(
        operator(image(geometry, 2, torch.float32)), static(image(geometry, 2, torch.float32)), rtol=0, atol=1e-5
    )


def test_the_default_start_draws_the_weights_that_a_static_convolution_draws():
    torch.manual_seed(3)
    dynamic = DCD(8, 12, 3)
    torch.manual_seed(3)
    assert torch.equal(dynamic.weight, Static(8, 12, 3).weight)


def test_the_published_start_is_dynamic():
    torch.manual_seed(0)
    operator = DCD(16, 64, 1, variant="code", init="published").train()
    scale, phi = operator.controller(torch.randn(8, 16, 7, 7))
    assert 0 < phi.abs().max() < 0.2
    assert 0.9 < scale.min() < scale.max() < 1.1
    assert operator.residual.p.abs().max() > 0


def test_a_step_of_training_moves_the_static_start_to_a_dynamic_layer():
    torch.manual_seed(0)
    operator = DCD(8, 16, 1)
    optimizer = torch.optim.SGD(operator.parameters(), lr=0.1)
    x = torch.randn(4, 8, 5, 5)
    target = torch.randn(4, 16, 5, 5)
    for _ in range(2):
        optimizer.zero_grad()
        F.mse_loss(operator(x), target).backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in operator.parameters())


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 3), (6, 6), (7, 2)])
def test_the_four_quarters_are_those_of_adaptive_pooling(size):
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(quarters(x), F.adaptive_avg_pool2d(x, 2).flatten(1))
    torch.testing.assert_close(pooled(x), F.adaptive_avg_pool2d(x, 1).flatten(1))


def test_without_channel_attention_the_static_part_is_not_scaled():
    operator = make(DCD, place(8, 12, 1), channel_attention=False)
    assert operator.controller(image(place(8, 12, 1)))[0] is None
    assert not any("scale" in name for name, _ in operator.named_parameters())


def test_small_maps_run_on_activations_and_large_ones_with_kernels():
    small, large = ConvGeometry(160, 960, height=7, width=7), ConvGeometry(24, 144, height=56, width=56)
    assert DCD.at(small, variant="code").form == "activation"
    assert DCD.at(large, variant="code").form == "kernel"


REST = 300_774_272 - 1_280_000 + 1_460_736
"""Multiply-adds of MobileNetV2 at 224 whose classifier is the published dynamic one, apart from what `residuals` adds."""


def residuals(form):
    """What DCD adds to the 32 1x1 convolutions of MobileNetV2's blocks with an expansion; form "" is each one's cheapest."""
    slots = slots_of(Architecture("mobilenetv2", {}, {}, (3, 224, 224), 1000))
    dynamic = [s.geometry for s in slots if s.role in ("expand", "project") and s.stage != "stage1"]
    settings = [DCD.resolve(g, variant="code", reduction=16) for g in dynamic]
    assert len(dynamic) == 32
    counts = [DCD.multiply_adds(g, s, form or DCD.counted_form(g, s)) for g, s in zip(dynamic, settings, strict=True)]
    marked = sum(g.out_pixels * g.out_channels + Plan.of(g, s).squeeze for g, s in zip(dynamic, settings, strict=True))
    return sum(counts) - sum(Static.multiply_adds(g, {}) for g in dynamic), marked


def test_a_published_mobilenetv2_on_activations_costs_what_was_measured_of_the_published_code():
    added, marked = residuals("activation")
    assert REST + added - marked == 398_388_084


def test_a_published_mobilenetv2_in_its_cheapest_forms_costs_what_the_paper_states():
    total = REST + residuals("")[0]
    assert total == pytest.approx(326.0e6, rel=0.002)
    assert total == pytest.approx(326_142_676, rel=0.001)


@pytest.mark.parametrize(
    ("rule", "geometry"),
    in_turn(RULES, [place(8, 24, 1), place(24, 8, 1, 2), place(8, 12, 3, 2), place(4, 5, 3, height=1, width=1)]),
)
@pytest.mark.parametrize("batch", [1, 3])
def test_both_training_forms_of_the_published_layer_leave_the_same_state_and_gradients(rule, geometry, batch):
    found = []
    for form in ("activation", "kernel"):
        operator = make(DCD, geometry, variant="code", rule=rule).train()
        operator.training_form = form
        x = image(geometry, batch).requires_grad_()
        y = operator(x)
        y.square().sum().backward()
        found.append([y, x.grad, *(p.grad for p in operator.parameters()), *operator.state_dict().values()])
    assert any(name.endswith("num_batches_tracked") for name in operator.state_dict())
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


def test_the_published_classifier_has_no_reduction_to_choose():
    settings = {"variant": "code", "rule": "classifier"}
    assert DCD.resolve(place(64, 10, 1), reduction=4, **settings) == DCD.resolve(place(64, 10, 1), **settings)
    assert DCD.resolve(place(64, 10, 1), reduction=4, variant="code", rule="pointwise")["reduction"] == 4

"""Deployed operators and networks compute what the trained ones do, with BatchNorm in their parameters and the same FLOPs."""

from __future__ import annotations

import copy

import pytest
import torch
from contract import each_place, image, make, oracle, place, randomise, refusal, sampled
from torch import nn

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.networks import build_network, slots_of
from dcdnas.operators import operators
from dcdnas.operators.static import Static

LEFT_ALONE = {("ddf", "add")}
"""Where a BatchNorm has to stay: a scale of the sum of two filters would have to be in both, and one has all channels."""

FOLDING = {"condconv", "dcd", "ddf", "drconv", "dyconv", "idconv", "mixconv", "odconv", "sk", "static", "weightnet"}
"""Operators that must take a BatchNorm; any other may leave it where it is, and is as it was."""


def allowed(took, name, settings):
    """Whether an operator that took a norm, or did not, may do so."""
    return took != ((name, settings.get("kernel_combine")) in LEFT_ALONE) or name not in FOLDING


def norm_after(geometry):
    return randomise(nn.BatchNorm2d(geometry.out_channels).double().eval())


def folded_into(operator, norm):
    """A deployed copy, and whether it took the norm."""
    deployed = copy.deepcopy(operator)
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    took = deployed.fold(scale, norm.bias - norm.running_mean * scale)
    deployed.deploy()
    return deployed, took


@each_place
def test_a_batchnorm_goes_into_the_parameters(name, geometry):
    norm, x = norm_after(geometry), image(geometry)
    for settings in sampled(name, geometry):
        operator = make(operators[name], geometry, **settings)
        operator.anneal(0.7)
        deployed, took = folded_into(operator, norm)
        assert allowed(took, name, settings)
        for form in operator.forms(geometry, operator._settings()):
            operator.form = deployed.form = form
            for portable in (False, True):
                operator.portable = deployed.portable = portable
                expected = norm(operator(x)) if took else operator(x)
                with torch.inference_mode():
                    found = deployed(x)
                torch.testing.assert_close(found, expected.detach(), rtol=1e-10, atol=1e-10)
        assert oracle(deployed, x[:1]) == oracle(operator, x[:1])


@each_place
def test_a_bias_is_scaled_with_the_rest(name, geometry):
    g, norm, x = geometry, norm_after(geometry), image(geometry)
    arguments = (g.in_channels, g.out_channels, g.kernel_size, g.stride, g.padding, g.dilation, g.groups)
    operator = randomise(operators[name](*arguments, bias=True, **operators[name].resolve(g)).double().eval())
    deployed, took = folded_into(operator, norm)
    assert allowed(took, name, {})
    torch.testing.assert_close(deployed(x), norm(operator(x)) if took else operator(x), rtol=1e-10, atol=1e-10)


@each_place
@pytest.mark.parametrize("bias", [False, True])
def test_two_batchnorms_in_turn_go_into_the_parameters(name, geometry, bias):
    g, norms, x = geometry, [norm_after(geometry), norm_after(geometry)], image(geometry)
    arguments = (g.in_channels, g.out_channels, g.kernel_size, g.stride, g.padding, g.dilation, g.groups)
    operator = randomise(operators[name](*arguments, bias=bias, **operators[name].resolve(g)).double().eval())
    deployed, expected = copy.deepcopy(operator), operator(x)
    for norm in norms:
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        took = deployed.fold(scale, norm.bias - norm.running_mean * scale)
        assert allowed(took, name, {})
        expected = norm(expected) if took else expected
    deployed.deploy()
    torch.testing.assert_close(deployed(x), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("variant", ["paper", "code"])
def test_the_bias_of_a_dcd_is_scaled_within_or_outside_lambda(variant):
    geometry = place(8, 12, 3)
    operator = randomise(operators["dcd"](8, 12, 3, padding=1, bias=True, variant=variant).double().eval())
    norm, x = norm_after(geometry), image(geometry)
    deployed, _ = folded_into(operator, norm)
    torch.testing.assert_close(deployed(x), norm(operator(x)), rtol=1e-10, atol=1e-10)


def test_a_channel_that_is_scaled_to_nothing_keeps_the_norm_of_a_selective_kernel():
    operator = make(operators["sk"], place(8, 12, 3))
    before = copy.deepcopy(operator.state_dict())
    assert not operator.fold(torch.arange(12.0).double(), torch.zeros(12).double())
    assert all(torch.equal(before[name], tensor) for name, tensor in operator.state_dict().items())


def test_a_subclass_that_computes_something_else_is_left_alone():
    class Doubled(Static):
        def forward(self, x, guide=None):
            return 2 * super().forward(x)

    assert not Doubled(4, 4, 1).fold(torch.ones(4), torch.ones(4))
    assert Static(4, 4, 1).fold(torch.ones(4), torch.ones(4))


def network_of(network, choice):
    """A small random network with `choice` wherever it can stand."""
    settings = {
        "mobilenetv2": {
            "channels": (8, 16),
            "depth": 2,
            "strides": (1, 2),
            "expansion": (1, 4),
            "stem_channels": 8,
            "head_channels": 24,
        },
        "resnet": {
            "block": "bottleneck",
            "channels": (8, 16),
            "depth": (1, 2),
            "strides": (1, 2),
            "stem": "small",
            "stem_channels": 8,
        },
    }[network]
    plain = Architecture(network, {**settings, "dropout": 0.3}, {}, (3, 12, 12), 5)
    layers = {}
    for slot in slots_of(plain):
        if slot.kind == "conv" and refusal(operators[choice.operator], slot.geometry, **choice.settings) is None:
            layers[slot.name] = LayerChoice(choice.operator, operators[choice.operator].resolve(slot.geometry, **choice.settings))
    torch.manual_seed(0)
    return randomise(build_network(Architecture(network, plain.settings, layers, plain.input, plain.classes))).eval()


CHOICES = [LayerChoice(name) for name in operators] + [
    LayerChoice("dcd", {"variant": "code"}),
    LayerChoice("odconv", {"num_kernels": 4}),
    LayerChoice("ddf", {"kernel_combine": "add"}),
]


@pytest.mark.slow
@pytest.mark.parametrize("network", [pytest.param("mobilenetv2", marks=pytest.mark.slow), "resnet"])
@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_a_deployed_network_is_equal(network, choice):
    trained = network_of(network, choice)
    deployed = trained.deploy()
    kept = [m for m in deployed.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert allowed(not kept, choice.operator, choice.settings)
    assert not any(isinstance(m, nn.Dropout) for m in deployed.modules())
    assert not any(p.requires_grad for p in deployed.parameters())
    x = torch.randn(3, 3, 12, 12)
    single = deployed(x), trained(x).detach()
    assert (single[0] - single[1]).abs().max() <= 1e-5 * single[1].abs().max()
    double = trained.double().deploy()(x.double()), trained(x.double())
    torch.testing.assert_close(*double, rtol=1e-10, atol=1e-10)
    assert oracle(deployed, x[:1]) == oracle(trained.float(), x[:1])


def test_the_trained_network_stays_as_it_is():
    trained = network_of("mobilenetv2", LayerChoice("dcd")).train()
    before = copy.deepcopy(trained.state_dict())
    trained.deploy()
    assert trained.training
    assert all(p.requires_grad for p in trained.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in trained.state_dict().items())


def test_deploying_again_changes_nothing():
    deployed = network_of("resnet", LayerChoice("odconv")).deploy()
    x = torch.randn(2, 3, 12, 12)
    torch.testing.assert_close(deployed.deploy()(x), deployed(x), rtol=0, atol=0)

"""CondConv: equal to the published layer's numbers, its router, shared or not, and its start."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dcdnas.core.geometry import ConvGeometry
from dcdnas.errors import UsageError
from dcdnas.operators.condconv import CondConv, Router

VECTOR = Path(__file__).parent / "vectors" / "condconv-3x3-E8.npz"


def load() -> dict[str, torch.Tensor]:
    return {k: torch.from_numpy(v) for k, v in np.load(VECTOR).items() if v.dtype == np.float64}


@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("form", CondConv.FORMS)
def test_the_published_layers_outputs_and_gradients_are_reproduced(form, portable, guided):
    vector = load()
    operator = CondConv(8, 12, 3, padding=1, guide_channels=8 * guided).double()
    router = {"fc.weight": vector["w:route.fc.weight"], "fc.bias": vector["w:route.fc.bias"]}
    own = {} if guided else {f"router.{name}": value for name, value in router.items()}
    operator.load_state_dict({"weight": vector["w:conv.weight"].flatten(2), **own})
    shared = CondConv.guide(8, operator._settings()).double()
    shared.load_state_dict(router)
    operator.form, operator.portable = form, portable
    torch.testing.assert_close(operator.eval()(vector["x"], shared(vector["x"])), vector["y_eval"], rtol=0, atol=1e-9)
    x = vector["x"].clone().requires_grad_()
    y = operator.train()(x, shared(x))
    torch.testing.assert_close(y, vector["y_train"], rtol=0, atol=1e-9)
    (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum().backward()
    torch.testing.assert_close(x.grad, vector["grad_x"], rtol=0, atol=1e-9)


def test_the_parameters_and_multiply_adds_are_those_of_the_published_layer():
    geometry = ConvGeometry(64, 64, 3, height=56, width=56)
    assert sum(p.numel() for p in CondConv(64, 64, 3).parameters()) == 295_432
    assert CondConv.multiply_adds(geometry, CondConv.resolve(geometry)) == 115_900_928


def test_a_guided_layer_has_no_router_of_its_own():
    assert [name for name, _ in CondConv(4, 6, 3, guide_channels=8).named_parameters()] == ["weight"]


def test_a_guided_layer_without_its_guide_says_what_it_waits_for():
    with pytest.raises(UsageError, match=r"needs its block's guide of shape \(N, 8, ...\)"):
        CondConv(4, 6, 3, guide_channels=8)(torch.randn(1, 4, 5, 5))


def test_a_layer_that_makes_a_guide_takes_it_back_instead_of_making_it_again():
    operator, x = CondConv(4, 6, 3, init="published").eval(), torch.randn(2, 4, 5, 5)
    assert torch.equal(operator(x, operator.guide_from(x)), operator(x))
    assert not torch.allclose(operator(x, torch.zeros(2, 8)), operator(x))


def test_the_classifier_is_a_convolution_on_a_map_of_one_pixel():
    torch.manual_seed(0)
    classifier, x = CondConv.classifier(ConvGeometry(6, 5), num_experts=3).eval(), torch.randn(4, 6)
    torch.nn.init.normal_(classifier.router.fc.weight)
    mixture = torch.sigmoid(x @ classifier.router.fc.weight.T + classifier.router.fc.bias)
    torch.testing.assert_close(classifier(x), torch.einsum("ne,edc,nc->nd", mixture, classifier.weight, x))
    assert CondConv.classifier(ConvGeometry(6, 5))(x[:0]).shape == (0, 5)


def test_the_layers_of_a_block_share_one_router_and_all_train_it():
    router = Router(4, 3, init="published")
    expand, project = CondConv(4, 8, 1, num_experts=3, guide_channels=3), CondConv(8, 4, 1, num_experts=3, guide_channels=3)
    x = torch.randn(2, 4, 5, 5)
    guide = router(x)
    project(expand(x, guide), guide).square().sum().backward()
    assert router.fc.weight.grad.abs().max() > 0


def test_the_routers_weights_are_sigmoids_that_need_not_sum_to_one():
    torch.manual_seed(0)
    weights = Router(4, 8, init="published")(torch.randn(3, 4, 2, 2) * 5)
    assert ((weights > 0) & (weights < 1)).all()
    assert (weights.sum(1) - 1).abs().min() > 0.1


@pytest.mark.parametrize("experts", [1, 4, 8])
def test_the_static_start_is_one_convolution_for_every_input(experts):
    operator = CondConv(6, 10, 3, padding=1, num_experts=experts)
    x = torch.randn(4, 6, 7, 7)
    expected = torch.nn.functional.conv2d(x, operator.kernels().sum(0) / 2, padding=1)
    torch.testing.assert_close(operator(x), expected, rtol=1e-4, atol=1e-5)


def test_the_static_start_leaves_the_experts_different_so_that_the_router_learns():
    operator = CondConv(6, 10, 3, padding=1)
    operator(torch.randn(4, 6, 7, 7)).square().sum().backward()
    assert operator.router.fc.weight.grad.abs().max() > 0


def test_the_biases_are_summed_with_the_experts_weights():
    operator = CondConv(4, 6, 1, bias=True, num_experts=3, init="published").eval()
    with torch.no_grad():
        operator.weight.zero_()
        operator.bias.normal_()
    x = torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(operator(x)[:, :, 2, 3], operator.router(x) @ operator.bias)

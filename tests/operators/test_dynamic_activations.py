"""DyReLU and DyShiftMax: the papers' equations, the published module's numbers, a start as ReLU, and counted multiply-adds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from reproduced import check_reproduced
from torch import Tensor, nn

from dcdnas.core.slot import DYNAMIC_ACTIVATIONS
from dcdnas.core.task import TrainingTask
from dcdnas.cost.flops import count_flops
from dcdnas.operators import DynamicActivation, dynamic_activations
from dcdnas.operators._dynamic_activation import DyReLU, DyShiftMax
from dcdnas.training.optimizer import parameter_groups

VECTOR = Path(__file__).parent / "vectors" / "dyshiftmax-16.npz"
BOTH = pytest.mark.parametrize("activation", dynamic_activations.values())


def awake(activation: type[DynamicActivation], channels: int) -> DynamicActivation:
    """The activation with random coefficients, in double precision."""
    torch.manual_seed(0)
    made = activation(channels).double()
    nn.init.normal_(made.expand.weight)
    nn.init.normal_(made.expand.bias)
    return made


def outputs(layer: DynamicActivation, x: Tensor) -> np.ndarray:
    """The four outputs of the linear layers for each sample and channel: (4, N, C)."""
    seen = np.maximum(x.mean((2, 3)).numpy() @ layer.reduce.weight.detach().numpy().T + layer.reduce.bias.detach().numpy(), 0)
    found = seen @ layer.expand.weight.detach().numpy().T + layer.expand.bias.detach().numpy()
    return found.reshape(len(x), 4, -1).transpose(1, 0, 2)


def test_the_published_modules_outputs_and_gradients_are_reproduced() -> None:
    vector = {k: torch.from_numpy(v) for k, v in np.load(VECTOR).items()}
    layer = DyShiftMax(16, 4).double()
    layer.load_state_dict({k.removeprefix("w:"): v for k, v in vector.items() if k.startswith("w:")})
    check_reproduced(layer, vector)


def test_dynamic_relu_is_the_papers_equation() -> None:
    layer, x = awake(DyReLU, 24), torch.randn(3, 24, 4, 5, dtype=torch.double)
    deviations = 2 / (1 + np.exp(-outputs(layer, x))) - 1
    lines = [
        (start + deviations[i])[:, :, None, None] * x.numpy() + 0.5 * deviations[2 + i][:, :, None, None]
        for i, start in enumerate((1.0, 0.0))
    ]
    np.testing.assert_allclose(layer(x).detach().numpy(), np.maximum(*lines), atol=1e-12)


def test_shift_max_is_the_papers_equation() -> None:
    layer, x = awake(DyShiftMax, 5), torch.randn(3, 5, 4, 5, dtype=torch.double)
    deviations = 4 * np.clip(outputs(layer, x) / 6 + 0.5, 0, 1) - 2
    a1, b1, a2, b2 = (start + d for start, d in zip((1, 0, 0, 0), deviations, strict=True))
    y = layer(x).detach().numpy()
    for c in range(5):
        here, beside = x[:, c].numpy(), x[:, (c + 1) % 5].numpy()
        one, two = (a[:, c, None, None] * here + b[:, c, None, None] * beside for a, b in ((a1, b1), (a2, b2)))
        np.testing.assert_allclose(y[:, c], np.maximum(one, two), atol=1e-12)


def test_every_kind_of_slot_for_one_has_its_module() -> None:
    assert tuple(dynamic_activations) == DYNAMIC_ACTIVATIONS


@BOTH
def test_a_fresh_one_is_a_relu_that_can_learn(activation: type[DynamicActivation]) -> None:
    layer, x = activation(16), torch.randn(4, 16, 5, 5)
    y = layer(x)
    assert torch.equal(y, x.relu())
    (y * torch.randn_like(y)).sum().backward()
    assert layer.expand.weight.grad is not None
    assert layer.expand.weight.grad.abs().max() > 0


@BOTH
@pytest.mark.parametrize("channels", [1, 3, 40])
def test_its_multiply_adds_are_the_counters(activation: type[DynamicActivation], channels: int) -> None:
    layer = activation(channels)
    assert layer.reduce.out_features == activation.squeezed(channels) == max(4, channels // 8)
    parts = activation.parts(channels, layer.reduce.out_features, 35)
    assert parts.whole == count_flops(layer, (channels, 5, 7)) > parts.controller > parts.convolution == 0


@BOTH
def test_each_sample_has_its_own(activation: type[DynamicActivation]) -> None:
    layer, x = awake(activation, 8), torch.randn(3, 8, 4, 4, dtype=torch.double)
    torch.testing.assert_close(layer(x), torch.cat([layer(one[None]) for one in x]))


@BOTH
def test_its_layers_are_trained_as_controllers(activation: type[DynamicActivation]) -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 1), activation(8))
    controllers = next(group for group in parameter_groups(network, TrainingTask()) if group["controller"])
    assert {id(p) for p in controllers["params"]} == {id(p) for p in network[1].parameters()}
    assert controllers["weight_decay"] == 0


@BOTH
@pytest.mark.parametrize("training", [True, False])
def test_one_image_without_an_axis_of_samples_is_taken(activation: type[DynamicActivation], training: bool) -> None:
    layer, x = awake(activation, 8).train(training), torch.randn(8, 5, 6, dtype=torch.float64)
    assert torch.equal(layer(x), layer(x[None])[0])

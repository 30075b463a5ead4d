"""Generated heads: what they compute, what they cost, their published sizes, and a task that needs them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from scripts import script
from torch import Tensor, nn

from dcdnas.cost import count
from dcdnas.errors import UsageError
from dcdnas.heads import generated, multiply_adds, parameters_of, relative_to


def test_heads_have_the_published_numbers_of_parameters() -> None:
    assert parameters_of(8, (8, 8, 1), axes=2) == 169, "CondInst"
    assert parameters_of(16, (16, 1), axes=3) == 337, "DyCo3D"


@pytest.mark.parametrize("size", [(5, 7), (11,)])
@pytest.mark.parametrize("shared", [False, True])
def test_each_instance_has_the_convolutions_that_its_vector_says(size: tuple[int, ...], shared: bool) -> None:
    torch.manual_seed(0)
    features, axes = torch.randn(1 if shared else 3, 4, *size, dtype=torch.double), len(size)
    coordinates = torch.randn(3, axes, *size, dtype=torch.double)
    vectors = torch.randn(3, parameters_of(4, (6, 2), axes), dtype=torch.double)
    found = generated(features, vectors, (6, 2), coordinates)
    assert found.shape == (3, 2, *size)
    into = 4 + axes
    for number, vector in enumerate(vectors):
        x = torch.cat([coordinates[number], features[0 if shared else number]]).reshape(into, -1)
        first, second, b1, b2 = vector.split([6 * into, 12, 6, 2])  # type: ignore[no-untyped-call]
        hidden = torch.relu(first.view(6, into) @ x + b1[:, None])
        expected = (second.view(2, 6) @ hidden + b2[:, None]).view(2, *size)
        torch.testing.assert_close(found[number], expected, rtol=0, atol=1e-12)


def test_it_is_a_convolution_in_groups() -> None:
    features, vectors = torch.randn(2, 3, 4, 4), torch.randn(2, parameters_of(3, (5,)))
    weights, biases = vectors.split([15, 5], 1)  # type: ignore[no-untyped-call]
    expected = F.conv2d(features.reshape(1, 6, 4, 4), weights.reshape(10, 3, 1, 1), biases.flatten(), groups=2)
    torch.testing.assert_close(generated(features, vectors, (5,)), expected.view(2, 5, 4, 4), rtol=1e-5, atol=1e-5)


def test_coordinates_are_distances_from_the_centre() -> None:
    found = relative_to(torch.tensor([[1.0, 2.0]]), 3, 4, scale=2.0)
    assert found.shape == (1, 2, 3, 4)
    assert found[0, :, 1, 2].tolist() == [0, 0]
    assert found[0, :, 2, 0].tolist() == [0.5, -1.0]


def test_gradients_reach_the_vector_and_the_features() -> None:
    features = torch.randn(2, 3, 4, dtype=torch.double, requires_grad=True)
    vectors = torch.randn(2, parameters_of(3, (4, 1)), dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f, v: generated(f, v, (4, 1)), (features, vectors))


class Head(nn.Module):
    """A controller with the head that it makes, as a module of one input."""

    def __init__(self, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.widths = widths
        self.controller = nn.Linear(channels, parameters_of(channels, widths))

    def forward(self, x: Tensor) -> Tensor:
        return generated(x, self.controller(x.flatten(2).mean(2)), self.widths)


@pytest.mark.parametrize("size", [(6, 5), (9,)])
def test_it_is_priced_like_everything(size: tuple[int, ...]) -> None:
    head = Head(8, (8, 8, 1))
    pixels = torch.Size(size).numel()
    wanted = multiply_adds(8, (8, 8, 1), 0, pixels) + 8 * parameters_of(8, (8, 8, 1))
    assert count(head, (8, *size))["flops"] == wanted


@pytest.mark.slow
def test_it_is_exported_for_any_number_of_instances() -> None:
    head, batch = Head(4, (4, 1)).eval(), torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(head, (torch.randn(3, 4, 5, 5),), dynamic_shapes=({0: batch},)).module()
    x = torch.randn(7, 4, 5, 5)
    torch.testing.assert_close(program(x), head(x))


@pytest.mark.parametrize(
    ("features", "vectors", "widths", "coordinates", "message"),
    [
        ((2, 3, 4), (2, 9), (4, 1), None, "9 parameters per instance for 3 channels, 0 coordinates and widths 4, 1. Allowed: 21"),
        ((3, 3, 4), (2, 4), (1,), None, "do not fit"),
        ((2, 3), (2, 4), (1,), None, "do not fit"),
        ((2, 3, 4), (2, 4), (), None, "widths cannot be []"),
        ((2, 3, 4), (2, 6), (1,), (2, 2, 5), "coordinates are (2, 2, 5) for 2 instances on 4"),
    ],
)
def test_what_does_not_fit_is_refused(features: Any, vectors: Any, widths: Any, coordinates: Any, message: str) -> None:
    given = None if coordinates is None else torch.zeros(coordinates)
    with pytest.raises(UsageError) as caught:
        generated(torch.zeros(features), torch.zeros(vectors), widths, given)
    assert message in str(caught.value)


@pytest.mark.slow
def test_on_images_with_several_objects_a_static_head_of_the_same_cost_loses_by_far() -> None:
    tried = script("generated_heads")
    reached = {head: tried.trained(True, head, seed=0, steps=120) for head in ("generated", "static, told where", "static")}
    assert reached["generated"] > 20 + reached["static"]
    assert reached["generated"] > reached["static, told where"]

"""Attention statistics: against their definitions computed another way, and on networks whose answer is known."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from small_training import SETTINGS, small_data
from torch import Tensor

from dcdnas.analysis.attention import attentions, dynamics
from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.dynamics import Attentions, Course, Dynamics, Evolution, LayerCourse, Spread
from dcdnas.networks import Network, build_network
from dcdnas.operators import operators
from dcdnas.operators.ddf import DDF
from dcdnas.operators.dyconv import DyConv
from dcdnas.results.attention import read_attentions, write_attentions
from dcdnas.training.augment import normalised
from dcdnas.training.loop import evaluate, seeded

PLACE = "stage2.block1.depthwise"


def network(operator: str, place: str = PLACE, stirred: bool = True) -> Network:
    """A small network with one dynamic layer, its parameters stirred so that the attentions depend on the image."""
    with seeded(3):
        made = build_network(Architecture("mobilenetv2", SETTINGS, {place: LayerChoice(operator)}, (1, 28, 28), 10))
        for parameter in made.get_submodule(place).parameters() if stirred else ():
            parameter.data.add_(0.5 * torch.randn_like(parameter))
        made.anneal(1.0)  # the first temperature would hide what the stirring did
    return made.eval()


def images() -> Tensor:
    part = small_data().validation
    return normalised(part.batch(torch.arange(len(part)))[0], part.mean, part.std)


def reaching(made: Network, place: str) -> Tensor:
    """What comes to a layer."""
    taken: list[Tensor] = []
    handle = made.get_submodule(place).register_forward_hook(lambda module, given, output: taken.append(given[0]))
    with torch.inference_mode():
        made(images())
    handle.remove()
    return taken[0].double()


def share(whole: Tensor, held: Tensor) -> float:
    def variance(y: Tensor) -> Tensor:
        return y.var((0, 2, 3), correction=0).sum()

    return float(variance(whole - held) / variance(whole))


DYNAMIC = [name for name, path in sorted(operators._files().items()) if re.search(r"_seen\(|observer", path.read_text("utf-8"))]
"""The operators that show their attentions, which none has to."""


@pytest.mark.parametrize("operator", DYNAMIC)
def test_every_operator_shows_its_attentions(operator: str) -> None:
    made = network(operator)
    before = made(images())
    (found,) = dynamics(made, small_data().validation)
    assert (found.layer, found.operator) == (PLACE, operator)
    assert found.attentions
    assert all(a.relative is not None and a.relative > 0 for a in found.attentions)
    assert found.share is not None
    assert found.share > 1e-6
    assert torch.equal(made(images()), before)
    assert all(getattr(module, "observer", None) is None for module in made.modules())


@pytest.mark.parametrize("operator", sorted(set(DYNAMIC) - {"dcd", "ddf", "drconv"}))
def test_a_layer_that_starts_as_a_static_convolution_is_not_dynamic(operator: str) -> None:
    (found,) = dynamics(network(operator, stirred=False), small_data().validation)
    assert found.share == pytest.approx(0, abs=1e-9)
    assert all(a.relative is None or a.relative == pytest.approx(0, abs=1e-6) for a in found.attentions)  # None: its mean is 0
    assert [a.entropy for a in found.attentions if a.entropy is not None] == pytest.approx([1] * ("kernel" in names(found)))


def names(found: Dynamics) -> list[str]:
    return [a.name for a in found.attentions]


def test_kernels_are_weighed_as_the_definition_says() -> None:
    place = f"{PLACE}.conv"
    made = network("dyconv").double()
    layer = made.get_submodule(place)
    assert isinstance(layer, DyConv)
    x = reaching(made.float(), place)
    layer.double()
    with torch.inference_mode():
        pi, y = layer.attention(x), layer(x)
        g = layer.geometry
        mean_kernel = (pi.mean(0) @ layer.weight.flatten(1)).view(layer.kernels().shape[1:])
        held = F.conv2d(x, mean_kernel, None, g.stride, layer.padding, g.dilation, g.groups)
    layer.float()
    (found,) = dynamics(made, small_data().validation)
    (kernel,) = found.attentions
    assert (kernel.name, kernel.elements) == ("kernel", 4)
    assert kernel.mean == pytest.approx(0.25)
    relative = pi.var(0, correction=0).mean().sqrt() / pi.mean(0).square().mean().sqrt()
    assert kernel.relative == pytest.approx(float(relative), rel=1e-4)
    assert kernel.entropy == pytest.approx(float(-(pi * pi.log()).sum(1).mean() / math.log(4)), rel=1e-4)
    assert found.share == pytest.approx(share(y, held), rel=1e-4)


def test_a_filter_for_every_pixel_is_held_at_its_mean_over_pixels_too() -> None:
    place = f"{PLACE}.conv"
    made = network("ddf")
    layer = made.get_submodule(place)
    assert isinstance(layer, DDF)
    x = reaching(made, place)
    layer.double()
    with torch.inference_mode():
        spatial, channel, y, g = layer.spatial_filter(x), layer.channel_filter(x), layer(x), layer.geometry
        kernel = (channel.mean(0) * spatial.mean((0, 3, 4))).view(-1, 1, g.kernel_size, g.kernel_size)
        held = F.conv2d(x, kernel, None, g.stride, layer.padding, g.dilation, g.in_channels)
    layer.float()
    (found,) = dynamics(made, small_data().validation)
    assert names(found) == ["spatial filter", "channel filter"]
    assert found.share == pytest.approx(share(y, held), rel=1e-3)
    spread = spatial.var((0, 3, 4), correction=0).mean().sqrt() / spatial.mean((0, 3, 4)).square().mean().sqrt()
    assert found.attentions[0].relative == pytest.approx(float(spread), rel=1e-3)


def test_lambda_and_phi_are_told_apart() -> None:
    (found,) = dynamics(network("dcd", "stage2.block1.expand"), small_data().validation)
    assert names(found) == ["Lambda", "Phi"]
    assert all(a.entropy is None for a in found.attentions)


def test_a_static_network_has_nothing_to_say() -> None:
    assert dynamics(network("static"), small_data().validation) == []


LAYERS = (Dynamics("stem", "dyconv", (Spread("kernel", 4, 0.25, 0.1, 0.9), Spread("x", 1, 0.0, None)), 0.5),)


def test_what_was_computed_is_kept(tmp_path: Path) -> None:
    kept = Attentions("fashion-mini", 40, "some", 0.8, LAYERS)
    assert read_attentions(tmp_path, 7) is None
    assert write_attentions(tmp_path, 7, kept).is_file()
    assert read_attentions(tmp_path, 7) == kept
    assert read_attentions(tmp_path, 8) is None
    (tmp_path / "attention" / "trial-8.json").write_text('{"layers": [{}]}', encoding="utf-8")
    assert read_attentions(tmp_path, 8) is None


@pytest.mark.parametrize(("asked", "looked_at"), [(7, 7), (1000, 40)])
def test_the_attentions_are_of_the_first_images_and_the_accuracy_of_all(asked: int, looked_at: int) -> None:
    made, part = network("dcd"), small_data().validation
    found = attentions(made, part, asked, "weights of w")
    assert (found.data, found.images, found.weights) == ("fashion-mini", looked_at, "weights of w")
    assert found.accuracy == evaluate(made, part)["accuracy"]
    assert list(found.layers) == dynamics(made, part.take(torch.arange(looked_at)))


def test_a_course_is_kept_and_one_that_is_damaged_not_taken(tmp_path: Path) -> None:
    evolution = Evolution("oscillates", 3, 0.9, None, 4.0)
    course = Course(
        (1.0, 2.0), (LayerCourse("stem", {"kernel": (0.1, 0.2), "x": (None, 0.5)}, evolution),), Evolution("short", 2)
    )
    path = write_attentions(tmp_path, 7, Attentions("fashion-mini", 40, "some", 0.8, LAYERS, course))
    found = read_attentions(tmp_path, 7)
    assert found is not None
    assert found.course == course
    for whole, damaged in (('"oscillates"', '"dances"'), ('"epochs": [', '"epochs": [0, '), ('"x": [', '"x": null, "y": [')):
        text = path.read_text(encoding="utf-8")
        assert whole in text
        path.write_text(text.replace(whole, damaged), encoding="utf-8")
        assert read_attentions(tmp_path, 7) is None
        path.write_text(text, encoding="utf-8")

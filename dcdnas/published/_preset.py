"""Published networks as architectures, and the mapping from the names in their checkpoints to those of this package."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.errors import UsageError
from dcdnas.networks import Network, Slot, build_network, leaders, networks, slots_of
from dcdnas.operators import Operator, operators, width_of
from dcdnas.published._layer import PublishedLayer, called, load_renamed, made
from dcdnas.published._state import unwrapped

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of the three channels, 0-1, with which the published ImageNet trainings normalise their images."""

Places = Mapping[str, str]
"""Published name of a module, e.g. ``features.0.1``, or of a parameter -> its path in this package, e.g. ``stem.norm``."""


@dataclass(frozen=True)
class Preset:
    """A published network.

    Args:
        make: returns its architecture for the published settings, given as keyword arguments.
        places: returns the path of each published module in the network of an architecture.
        layer: maps the state of its dynamic layers; None if all layers are static.
    """

    make: Callable[..., Architecture]
    places: Callable[[Architecture], Places]
    layer: PublishedLayer | None = None

    def architecture(self, name: str, settings: Mapping[str, Any]) -> Architecture:
        """Returns the architecture for the published settings.

        Raises:
            UsageError: for an unknown setting, listing the known ones, or a value that is not allowed.
        """
        architecture: Architecture = made(self.make, name, settings, "settings")
        return architecture

    def load(self, name: str, state: Mapping[str, Any], settings: Mapping[str, Any]) -> Network:
        """Builds the network with a published state dict, in eval mode and with annealing finished.

        Raises:
            FileError: listing every entry of the state dict that does not fit.
        """
        network = build_network(self.architecture(name, settings)).eval()
        network.anneal(1.0)
        places, modules = self.places(network.architecture), dict(network.named_modules())
        what = called(self.make, name, settings)
        load_renamed(network, unwrapped(state), lambda published: self._renamed(published, places, modules), what)
        return network

    def _renamed(self, published: str, places: Places, modules: Mapping[str, nn.Module]) -> str | None:
        if published in places:  # a parameter that belongs to another module in this package
            return places[published]
        prefix, _, rest = published.rpartition(".")
        while prefix and prefix not in places:
            prefix, _, last = prefix.rpartition(".")
            rest = f"{last}.{rest}"
        if not prefix or places[prefix] not in modules:
            return None
        module = modules[places[prefix]]
        dynamic = isinstance(module, Operator) and not isinstance(module, operators["static"])
        ours = self.layer.renamed(rest) if dynamic and self.layer is not None else rest
        return None if ours is None else f"{places[prefix]}.{ours}"


def with_operator(architecture: Architecture, operator: str, choose: Callable[[Slot], Mapping[str, Any] | None]) -> Architecture:
    """Puts an operator in every slot for which `choose` returns settings, with these resolved and in its counted form."""
    cls, layers = operators[operator], dict(architecture.layers)
    for slot in slots_of(architecture):
        settings = choose(slot)
        if settings is not None:
            resolved = cls.resolve(slot.geometry, **settings)
            layers[slot.name] = LayerChoice(operator, resolved, cls.counted_form(slot.geometry, resolved))
    return replace(architecture, layers=layers)


def static_network(network: str, settings: Mapping[str, Any], classes: int, size: int) -> Architecture:
    """Returns a fully static backbone for images of `size` x `size` pixels; a `dropout` of None means no dropout.

    Raises:
        UsageError: for a dropout that is not between 0 and 1.
    """
    if "dropout" in settings:
        dropout = settings["dropout"] or 0.0
        if not isinstance(dropout, int | float) or not 0 <= dropout <= 1:
            raise UsageError(f"dropout cannot be {dropout!r}. Allowed: 0 to 1, or None for no dropout.")
        settings = {**settings, "dropout": dropout}
    return Architecture(network, networks[network].complete(settings), {}, (3, size, size), classes)


RESNETS: Mapping[int, Mapping[str, Any]] = {
    18: {"block": "basic", "depth": (2, 2, 2, 2)},
    34: {"block": "basic", "depth": (3, 4, 6, 3)},
    50: {"block": "bottleneck", "depth": (3, 4, 6, 3)},
    101: {"block": "bottleneck", "depth": (3, 4, 23, 3)},
}
"""Published number of layers -> settings of the backbone."""


def guided(architecture: Architecture, blocks: Collection[str]) -> Architecture:
    """Returns the architecture in which all layers of these blocks use the guide of their block's first layer."""
    cls, layers = networks[architecture.network], dict(architecture.layers)
    for name, leader in leaders(slots_of(architecture), cls.GUIDED).items():
        if leader.block in blocks:
            choice = layers[name]
            width = width_of(operators[choice.operator].guide, leader.geometry.in_channels, choice.settings)
            layers[name] = replace(choice, guide_channels=width)
    return replace(architecture, layers=layers)


CLASSIFIER: Places = dict.fromkeys(("classifier.1", "classifier.0", "classifier", "fc.1", "fc.0", "fc", "linear"), "classifier")
"""Published names of the last layer; the number depends on whether a dropout precedes it."""


def resnet_places(architecture: Architecture) -> Places:
    """Maps torchvision's names of a ResNet to those of this package."""
    found = {**CLASSIFIER, "conv1": "stem.conv", "bn1": "stem.norm"}
    order = {"basic": ("conv1", "conv2"), "bottleneck": ("reduce", "spatial", "expand")}[str(architecture.settings["block"])]
    for stage, block in _blocks(architecture):
        theirs, ours = f"layer{stage}.{block - 1}", f"stage{stage}.block{block}"
        for i, role in enumerate(order, 1):
            found |= {f"{theirs}.conv{i}": f"{ours}.{role}.conv", f"{theirs}.bn{i}": f"{ours}.{role}.norm"}
        for shortcut in ("downsample", "shortcut"):
            found |= {f"{theirs}.{shortcut}.0": f"{ours}.shortcut.conv", f"{theirs}.{shortcut}.1": f"{ours}.shortcut.norm"}
    return found


def mobilenetv2_places(nested: bool) -> Callable[[Architecture], Places]:
    """Returns the mapping from a published MobileNetV2's names to those of this package.

    The published last convolution is named ``conv`` or is numbered as the next of the features.

    Args:
        nested: whether a convolution and its BatchNorm share one number, as in torchvision, or are numbered separately together
            with the activation, as in the original port.
    """

    def places(architecture: Architecture) -> Places:
        found = {"features.0.0": "stem.conv", "features.0.1": "stem.norm", **CLASSIFIER}
        names, number = {s.name for s in slots_of(architecture)}, 0
        for number, (stage, block) in enumerate(_blocks(architecture), 1):
            ours = f"stage{stage}.block{block}"
            roles = [role for role in ("expand", "depthwise", "project") if f"{ours}.{role}" in names]
            for i, role in enumerate(roles):
                theirs = f"features.{number}.conv"
                if not nested:
                    conv, norm = f"{theirs}.{3 * i}", f"{theirs}.{3 * i + 1}"
                elif role == "project":
                    conv, norm = f"{theirs}.{i}", f"{theirs}.{i + 1}"
                else:
                    conv, norm = f"{theirs}.{i}.0", f"{theirs}.{i}.1"
                found |= {conv: f"{ours}.{role}.conv", norm: f"{ours}.{role}.norm"}
        for last in (f"features.{number + 1}", "conv"):
            found |= {f"{last}.0": "head.conv", f"{last}.1": "head.norm"}
        return found

    return places


def mobilenetv3_places(architecture: Architecture) -> Places:
    """Maps torchvision's names of a MobileNetV3 to those of this package; without a dropout the last layer's number is lower."""
    found = {"features.0.0": "stem.conv", "features.0.1": "stem.norm"}
    names, number = {s.name for s in slots_of(architecture)}, 0
    for number, (stage, block) in enumerate(_blocks(architecture), 1):
        ours = f"stage{stage}.block{block}"
        roles = [role for role in ("expand", "depthwise", "se", "project") if f"{ours}.{role}" in names]
        for i, role in enumerate(roles):
            theirs, mine = f"features.{number}.block.{i}", f"{ours}.{role}"
            if role == "se":
                found |= {f"{theirs}.fc1": f"{mine}.reduce", f"{theirs}.fc2": f"{mine}.expand"}
            else:
                found |= {f"{theirs}.0": f"{mine}.conv", f"{theirs}.1": f"{mine}.norm"}
    found |= {f"features.{number + 1}.0": "head.conv", f"features.{number + 1}.1": "head.norm"}
    return {**found, "classifier.0": "embedding", "classifier.2": "classifier", "classifier.3": "classifier"}


def shufflenetv2_places(architecture: Architecture) -> Places:
    """Maps torchvision's names of a ShuffleNetV2 to those of this package; torchvision counts the stem as the first stage."""
    found = {**CLASSIFIER, "conv1.0": "stem.conv", "conv1.1": "stem.norm", "conv5.0": "head.conv", "conv5.1": "head.norm"}
    numbers = {"branch1": {0: "shrink", 2: "shortcut"}, "branch2": {0: "reduce", 3: "depthwise", 5: "project"}}
    for stage, block in _blocks(architecture):
        for branch, roles in numbers.items():
            for number, role in roles.items():
                theirs, ours = f"stage{stage + 1}.{block - 1}.{branch}", f"stage{stage}.block{block}.{role}"
                found |= {f"{theirs}.{number}": f"{ours}.conv", f"{theirs}.{number + 1}": f"{ours}.norm"}
    return found


def _blocks(architecture: Architecture) -> Iterator[tuple[int, int]]:
    depth = architecture.settings["depth"]
    assert isinstance(depth, tuple)
    yield from ((stage, block) for stage, blocks in enumerate(depth, 1) for block in range(1, blocks + 1))

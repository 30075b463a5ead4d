"""The contract of a backbone: its slots as plain data, and the module that wires operators into them.

`slots` is arithmetic on the settings, so an architecture can be priced without building anything. The module is built from the
same slots, and a slot's name is the path of its module (``stage3.block1.expand``).
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self, TypeVar

import torch
from torch import Tensor, nn

from dcdnas.core.architecture import Architecture, LayerChoice, NetworkSetting
from dcdnas.core.dimension import dimensions
from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.reference import Reference
from dcdnas.core.slot import Shape, Slot
from dcdnas.errors import FileError, GeometryError, UsageError
from dcdnas.networks._activations import ACTIVATIONS
from dcdnas.networks._fixed import FIXED
from dcdnas.networks._hamburger import Hamburger
from dcdnas.networks._slot import STATIC, check_layers
from dcdnas.operators import BatchNorm, Operator, activated, operators


class ConvNorm(nn.Module):
    """The module of a slot of kind ``conv``: operator, BatchNorm, activation."""

    def __init__(self, slot: Slot, choice: LayerChoice) -> None:
        super().__init__()
        operator = operators[choice.operator]
        self.guided = choice.guide_channels > 0
        self.conv = operator.at(slot.geometry, choice.form, choice.guide_channels, **choice.settings)
        self.norm: nn.Module = BatchNorm(slot.geometry.out_channels)
        self.activation = ACTIVATIONS[slot.activation]()

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """(N, C, H, W) -> (N, D, H', W')."""
        return activated(self.conv(x) if guide is None else self.conv(x, guide), self.norm, self.activation)

    @torch.no_grad()
    def deploy(self) -> None:
        """Folds the BatchNorm into the operator, in place; it stays separate if the operator cannot fold it."""
        if isinstance(self.norm, BatchNorm) and self.conv.fold(*self.norm.folded()):
            self.norm = nn.Identity()


def through(x: Tensor, *layers: nn.Module) -> Tensor:
    """Passes x (N, C, H, W) through a block's modules; the first `ConvNorm` makes the guide for those that take one."""
    convolutions = [layer for layer in layers if isinstance(layer, ConvNorm)]
    first = convolutions[0]
    guide = first.conv.guide_from(x) if any(layer.guided for layer in convolutions) else None
    for layer in layers:
        takes = isinstance(layer, ConvNorm) and (layer is first or layer.guided)
        x = layer(x, guide) if takes else layer(x)
    return x


def make(slot: Slot, choice: LayerChoice = STATIC) -> nn.Module:
    """Makes the module of a slot."""
    if not slot.searchable:
        return FIXED[slot.kind].make(slot)
    if slot.kind == "linear":
        return operators[choice.operator].classifier(slot.geometry, choice.form, **choice.settings)
    return ConvNorm(slot, choice)


class Places:
    """The slots of a backbone and the operator chosen for each, from which its constructor makes the modules."""

    def __init__(self, slots: Iterable[Slot], layers: Mapping[str, LayerChoice]) -> None:
        self._slots = {s.name: s for s in slots}
        self._layers = layers

    def __contains__(self, name: str) -> bool:
        return name in self._slots

    def geometry(self, name: str) -> ConvGeometry:
        """Returns the geometry of the slot called `name`."""
        return self._slots[name].geometry

    def activation(self, name: str) -> nn.Module:
        """Makes a new module for the activation of the slot called `name`; the identity if the network has no such slot."""
        return ACTIVATIONS[self._slots[name].activation]() if name in self else nn.Identity()

    def last_activation(self, block: str, like: str) -> nn.Module:
        """Makes the activation at the end of a block: its slot `activation` if it is dynamic, else that of the slot `like`."""
        return self.fill(f"{block}.activation") if f"{block}.activation" in self else self.activation(f"{block}.{like}")

    def fill(self, name: str) -> nn.Module:
        """Makes a new module for the slot called `name`; the identity if the network has no such slot."""
        return make(self._slots[name], self._layers.get(name, STATIC)) if name in self else nn.Identity()


class Network(nn.Module, ABC):
    """Base class of every backbone.

    A subclass takes its `places` and, as keywords, its settings: those annotated with `Choice` are search dimensions, the others
    are fixed in a space file. It overrides `slots` and `forward`. A search dimension that has a default in the constructor is
    left out of architectures that have this value everywhere, so that adding such a dimension changes no existing digest.
    """

    GUIDED: ClassVar[frozenset[str]] = frozenset()
    """Roles of the slots that can take the guide of their block's first layer."""

    REFERENCE: ClassVar[Reference | None] = None
    """The paper that the backbone comes from; None if it has none. Not inherited."""

    ADDS: ClassVar[bool] = True
    """Whether a block adds its input to its output if their shapes agree, or if a shortcut makes them agree."""

    architecture: Architecture

    def __init__(self, places: Places, **settings: Any) -> None:
        super().__init__()
        self.stages: list[str] = []

    def add_stages(self, depth: Iterable[int], block: Callable[[str], nn.Module]) -> None:
        """Adds the modules ``stage1``, ``stage2``, ... with `depth` blocks each; `block` makes a block from its name.

        A block's name is, for example, ``stage1.block1``.
        """
        for number, blocks in enumerate(depth, 1):
            stage, names = f"stage{number}", [f"block{b}" for b in range(1, blocks + 1)]
            self.stages.append(stage)
            self.add_module(stage, nn.Sequential(OrderedDict((name, block(f"{stage}.{name}")) for name in names)))

    def enter(self, x: Tensor) -> Tensor:
        """Computes the part before the stages: (N, C, H, W) -> (N, D, H', W'), by the module `stem` if there is one."""
        stem: nn.Module | None = getattr(self, "stem", None)
        return x if stem is None else stem(x)

    def blocks(self) -> list[nn.Module]:
        """Returns the blocks of all stages, in order.

        `forward` calls the blocks one by one itself. If it passed its input to a method as a temporary, that tensor might stay
        in memory until the method returns.
        """
        return [block for stage in self.stages for block in self.get_submodule(stage).children()]

    def forward_features(self, x: Tensor) -> Tensor:
        """Computes the last map, before pooling and classification: (N, C, H, W) -> (N, D, H', W').

        It is the output of the last stage, or of the convolution `head` after it if there is one.
        """
        x = self.enter(x)
        for block in self.blocks():
            x = block(x)
        head: nn.Module | None = getattr(self, "head", None)
        return x if head is None else head(x)

    def reset_classifier(self, num_classes: int) -> None:
        """Replaces the classifier by a fresh layer for another number of classes, and updates the architecture.

        Args:
            num_classes: of the new layer; with 0 the layer is removed, and the network returns the features before it.

        Raises:
            UsageError: for anything but a whole number from 0.
        """
        num_classes = whole_number("num_classes", num_classes, at_least=0)
        a, plan = self.architecture, type(self)
        self.architecture = replace(a, classes=num_classes or a.classes)
        slots = plan.slots(a.input, self.architecture.classes, plan.complete(a.settings))
        slot = next(slot for slot in reversed(slots) if slot.kind in ("linear", "pixel-linear"))
        parent, _, name = slot.name.rpartition(".")
        old = self.get_submodule(slot.name)
        like = next(old.parameters(), next(self.parameters()))
        fresh = make(slot, a.layers.get(slot.name, STATIC)) if num_classes else nn.Identity()
        setattr(self.get_submodule(parent), name, fresh.to(like.device, like.dtype).train(self.training))

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, classes), or (N, classes, H, W) with a head that scores every pixel."""

    @classmethod
    @abstractmethod
    def slots(cls, input: Shape, classes: int, settings: Mapping[str, NetworkSetting]) -> tuple[Slot, ...]:
        """Returns all slots in the order of computation, for complete settings.

        Raises:
            UsageError: when no network can have these settings at this input.
        """

    @classmethod
    @abstractmethod
    def complete(cls, settings: Mapping[str, Any]) -> dict[str, NetworkSetting]:
        """Returns all settings, with defaults filled in and a scalar repeated for each stage or block.

        Raises:
            UsageError: naming a setting that is unknown, not allowed or of the wrong length.
        """

    @classmethod
    def written(cls, settings: Mapping[str, NetworkSetting]) -> dict[str, NetworkSetting]:
        """Returns complete settings as an architecture stores them, without those that have their default everywhere."""
        known = dimensions(cls)
        return {n: v for n, v in settings.items() if n not in known or any(leaf != known[n].default for leaf in flat(v))}

    @classmethod
    @abstractmethod
    def adapted(cls, settings: Mapping[str, NetworkSetting], input: Shape) -> dict[str, NetworkSetting]:
        """Returns the settings for a proxy's image: strides are removed, stem first, until the last map has 3 pixels a side."""

    @classmethod
    def names_compared(cls, slots: Sequence[Slot]) -> Mapping[str, str]:
        """Returns the name under which `identity` compares a slot, by slot name, for slots whose own name makes no difference."""
        return {}

    @classmethod
    def build(cls, architecture: Architecture) -> Self:
        """Builds the network of an architecture, with freshly initialised weights.

        Raises:
            FileError: when the layers do not fit the network's slots.
        """
        settings = cls.complete(architecture.settings)
        slots = cls.slots(architecture.input, architecture.classes, settings)
        check_layers(architecture, slots, cls.GUIDED)
        network = cls(Places(slots, architecture.layers), **settings)
        network.architecture = architecture
        lend(network, architecture.layers)
        return network

    def anneal(self, progress: float) -> None:
        """Passes the progress of annealing, 0-1, to every operator."""
        for module in self.modules():
            if isinstance(module, Operator):
                module.anneal(progress)

    def deploy(self) -> Self:
        """Returns a copy for inference only, with the same outputs as this network in eval mode and less computation.

        BatchNorms are folded into the convolutions before them, quantities that operators compute from parameters alone are
        precomputed, and dropout is removed. A BatchNorm stays after an operator that cannot fold it (`Operator.fold`). The
        counted multiply-adds stay the same, because nothing that is removed was counted.
        """
        return deployed(copy.deepcopy(self))


Part = TypeVar("Part", bound=nn.Module)


def lend(network: nn.Module, layers: Mapping[str, LayerChoice]) -> None:
    """Connects the layers that share weights to the layer that owns them.

    Raises:
        FileError: when that layer does not exist, or does not fit.
    """
    for name, choice in layers.items():
        lender = str(choice.settings.get("shared_with", ""))
        if lender and lender not in layers:
            raise FileError(f"layer {name!r}: shared_with: {lender!r} is not a layer. Name the layer whose weights it shares.")
        if lender:
            try:
                operator_of(network, name).borrow(operator_of(network, lender))
            except GeometryError as error:
                raise FileError(f"layer {name!r}: {error}") from None


def operator_of(network: nn.Module, name: str) -> Operator:
    """Returns the operator in a slot."""
    module = network.get_submodule(name)
    operator = module.conv if isinstance(module, ConvNorm) else module
    if not isinstance(operator, Operator):
        raise FileError(f"layer {name!r}: it has no operator whose weights could be shared.")
    return operator


def deployed(module: Part) -> Part:
    """Prepares a network, or the module of one of its slots, for inference only, in place; see `Network.deploy`."""
    module.eval().requires_grad_(False)
    for part in list(module.modules()):
        if isinstance(part, (Operator, ConvNorm, Hamburger)):
            part.deploy()
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Dropout):
                setattr(parent, name, nn.Identity())
    return module.requires_grad_(False)


def per_stage(name: str, value: Any, stages: int) -> tuple[Any, ...]:
    """Returns one value per stage; a scalar is repeated.

    Raises:
        UsageError: when the number of values is not the number of stages.
    """
    if not isinstance(value, (list, tuple)):
        return (value,) * stages
    if len(value) != stages:
        raise UsageError(f"{name} has {len(value)} values for {stages} stages. Give one value for all, or {stages}.")
    return tuple(value)


def per_block(name: str, value: Any, depth: tuple[int, ...]) -> tuple[tuple[Any, ...], ...]:
    """Returns one value per block, stage by stage; a scalar for all blocks or for a stage is repeated.

    Raises:
        UsageError: when the number of values is not the number of blocks.
    """
    rows = []
    for stage, (row, blocks) in enumerate(zip(per_stage(name, value, len(depth)), depth, strict=True), 1):
        row = per_stage(f"{name} of stage{stage}", row, blocks) if not isinstance(row, (list, tuple)) else tuple(row)
        if len(row) != blocks:
            raise UsageError(f"{name} of stage{stage} has {len(row)} values for {blocks} blocks. Give one value, or {blocks}.")
        rows.append(row)
    return tuple(rows)


def checked(cls: type[Network], settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the defaults overridden by `settings`, and checks the values of every search dimension.

    Raises:
        UsageError: naming an unknown setting or a value that is not allowed.
    """
    unknown = sorted(set(settings) - set(defaults))
    if unknown:
        raise UsageError(f"{cls.__name__} has no setting {unknown[0]!r}. Known: {', '.join(defaults)}.")
    merged = {**defaults, **settings}
    for name, dimension in dimensions(cls).items():
        if _nested(merged[name]) > LISTS[dimension.choice.per]:
            of = "one value" if dimension.choice.per == "network" else f"a value a {dimension.choice.per}"
            raise UsageError(f"{name} cannot be {merged[name]!r:.60}. Allowed: {of}, {dimension.allowed}.")
        for value in _different(merged[name]):
            dimension.check(value)
    dropout = merged.get("dropout", 0)
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise UsageError(f"dropout cannot be {dropout!r:.60}. Allowed: a number, 0 to below 1.")
    return merged


LISTS = {"network": 0, "stage": 1, "block": 2}
"""How deep the lists of a setting may be nested that has one value per network, stage or block."""


def _nested(value: Any) -> int:
    """Returns the depth of nested lists; 0 for a scalar."""
    return 1 + max(map(_nested, value), default=0) if isinstance(value, (list, tuple)) else 0


def _different(value: Any) -> list[Any]:
    """Returns the distinct scalars of a nested list; here true is distinct from 1."""
    leaves = flat(value)
    if not all(isinstance(leaf, (int, float, str)) for leaf in leaves):
        return leaves
    return list({(type(leaf), leaf): leaf for leaf in leaves}.values()) if len(leaves) > 1 else leaves


MOST = 2**20
"""The most channels, blocks or strides: a larger layer would have more weights than any machine can hold."""


def whole_numbers(name: str, value: Any, at_least: int = 1, at_most: int | None = None) -> tuple[int, ...]:
    """Checks a setting that is not searched and returns it as whole numbers; it may be one number or a list.

    Raises:
        UsageError: when the list is empty, or a value is not a whole number within the bounds.
    """
    values = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    for number in values or (value,):
        legal = (
            isinstance(number, int)
            and not isinstance(number, bool)
            and at_least <= number <= (MOST if at_most is None else at_most)
        )
        if not legal:
            bounds = f"{at_least} to {at_most}" if at_most is not None else f"{at_least} or more"
            said = f"{number!r:.60}" if not isinstance(number, int) or number < 2**64 else f"so large (the most is {MOST:,})"
            raise UsageError(f"{name} cannot be {said}. Allowed: whole numbers, {bounds}.")
    return values


def whole_number(name: str, value: Any, at_least: int = 1, at_most: int | None = None) -> int:
    """Checks a setting that is not searched and returns it as one whole number.

    Args:
        name: of the setting.
        value: of the setting, as given.
        at_least: lower bound.
        at_most: upper bound; None for `MOST`.

    Raises:
        UsageError: when the value is a list, or not a whole number within the bounds.
    """
    if isinstance(value, (list, tuple)):
        raise UsageError(f"{name} cannot be {list(value)!r:.60}. Allowed: one whole number.")
    return whole_numbers(name, value, at_least, at_most)[0]


def flat(value: Any) -> list[Any]:
    """Returns the scalars of a nested list or tuple, in order; for a scalar a list of it."""
    return [leaf for part in value for leaf in flat(part)] if isinstance(value, (list, tuple)) else [value]


def gate_slot(block: str, ratio: float, geometry: ConvGeometry, activation: str = "sigmoid") -> Iterator[Slot]:
    """Yields the slot ``se`` of a block, after the convolution with this geometry; none for a ratio of 0."""
    if ratio:
        channels = geometry.out_channels
        size = {"height": geometry.out_height, "width": geometry.out_width}
        yield Slot(f"{block}.se", ConvGeometry(channels, make_divisible(channels * ratio), **size), "gate", activation)


def make_divisible(channels: float, divisor: int = 8) -> int:
    """Rounds to the nearest multiple of `divisor`, but at least `divisor` and at most 10 % down (the MobileNet papers' rule)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def without_strides(strides: list[int], size: int, pixels: int = 3) -> list[int]:
    """Replaces strides of 2 by 1, from the front, until a map of `size` pixels a side keeps at least `pixels` a side."""
    strides = list(strides)
    while 2 in strides:
        last = size
        for stride in strides:
            last = -(-last // stride)
        if last >= pixels:
            break
        strides[strides.index(2)] = 1
    return strides

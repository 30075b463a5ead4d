"""A decoder: computes scores for every pixel from the output maps of a backbone's stages.

The decoder proceeds from the coarsest map to finer ones. At each size it upsamples its map, adds a 1x1 convolution of the
backbone's map (`lateral`) and convolves the sum (`smooth`). Then a linear layer at every pixel scores the classes, and the scores
are interpolated to the size of the image. Of several stages with maps of the same size, the last one is used. The stages in use
are a setting of the network, so that its slots stay the same when strides are removed for a proxy's small images.

Reference: the top-down path is that of Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017,
arXiv:1612.03144, Figure 3. *Departures*: a ReLU after each `smooth`, and scores at the finest size only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, ClassVar, NamedTuple, cast

from torch import Tensor, nn

from dcdnas.core.architecture import NetworkSetting
from dcdnas.core.dimension import Choice, dimensions
from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.reference import Reference
from dcdnas.core.slot import UPSAMPLING, Kind, Shape, Slot
from dcdnas.errors import UsageError
from dcdnas.networks._base import Network, Places, make_divisible, whole_numbers

NAME = "decoder"
"""Name of the module, and the first part of its slots' names."""

DEFAULTS: Mapping[str, Any] = {"decoder_channels": 32, "upsampling": "bilinear"}

STAGES = "decoder_stages"
"""The setting with the numbers of the stages whose maps the decoder uses."""

LARGE = 4096
"""Side of an image that is large enough for every stride to give a different map size."""


class Level(NamedTuple):
    """A map size at which the decoder works.

    Args:
        stage: the stage whose map is used.
        channels: of the stage's map.
        height: of the stage's map.
        width: of the stage's map.
    """

    stage: str
    channels: int
    height: int
    width: int


def body_of(slots: Sequence[Slot]) -> list[Slot]:
    """Returns the slots of a backbone up to its last stage."""
    return [slot for slot in slots if slot.stage == "stem" or slot.stage.startswith("stage")]


def levels_of(slots: Sequence[Slot]) -> list[Level]:
    """Returns the last stage of each map size, the finest first, from a backbone's slots in the order of computation."""
    stages = sorted({_number(slot) for slot in body_of(slots)} - {0}) or [1]
    return list({(level.height, level.width): level for level in maps_of(slots, stages)}.values())


def maps_of(slots: Sequence[Slot], stages: Sequence[int]) -> list[Level]:
    """Returns the output maps of the stages with these numbers; a stage without slots passes its input on.

    The channels are the input channels of the first slot after a stage. The size is taken from the stage's own last slot, because
    the slot after it may be a linear layer, which has no map.
    """
    numbers, found = [_number(slot) for slot in body_of(slots)], []
    for stage in stages:
        last = max(place for place, number in enumerate(numbers) if number <= stage)
        size, behind = slots[last].geometry, slots[last + 1].geometry
        found.append(Level(f"stage{stage}", behind.in_channels, size.out_height, size.out_width))
    return found


def _number(slot: Slot) -> int:
    """Returns the number of a slot's stage; 0 for slots before the stages."""
    return int(slot.stage.removeprefix("stage")) if slot.stage.startswith("stage") else 0


def decoder_slots(levels: Sequence[Level], input: Shape, classes: int, channels: int, upsampling: Kind) -> Iterator[Slot]:
    """Yields the decoder's slots in the order of computation.

    Args:
        levels: of the backbone, the finest first.
        input: (C, H, W) of the images.
        classes: number of classes.
        channels: of the decoder's maps.
        upsampling: kind of upsampling between the decoder's maps; the scores are always interpolated bilinearly.
    """
    coarser: Level | None = None
    for level in reversed(levels):
        name, size = f"{NAME}.{level.stage}", {"height": level.height, "width": level.width}
        yield Slot(f"{name}.lateral", ConvGeometry(level.channels, channels, **size))
        if coarser:
            if coarser[2:] != level[2:]:
                yield Slot(f"{name}.up", undone(channels, level[2:], coarser[2:]), upsampling)
            yield Slot(f"{name}.smooth", ConvGeometry(channels, channels, 3, **size), activation="relu")
        coarser = level
    finest = levels[0]
    place = ConvGeometry(channels, classes, height=finest.height, width=finest.width)
    yield Slot(f"{NAME}.classifier", place, "pixel-linear")
    if (finest.height, finest.width) != input[1:]:
        yield Slot(f"{NAME}.up", undone(classes, input[1:], (finest.height, finest.width)), "bilinear")


def undone(channels: int, fine: tuple[int, int], coarse: tuple[int, int]) -> ConvGeometry:
    """Returns the geometry of the convolution from a fine map to a coarse one whose stride an upsampling reverses."""
    stride = max(-(-large // small) for large, small in zip(fine, coarse, strict=True))
    return ConvGeometry(channels, channels, 1, stride, channels, height=fine[0], width=fine[1])


class Merge(nn.Module):
    """smooth(up(y) + lateral(x)), with x from a stage and y from the coarser level; lateral(x) at the coarsest level."""

    def __init__(self, places: Places, name: str) -> None:
        super().__init__()
        self.lateral = places.fill(f"{name}.lateral")
        self.up = places.fill(f"{name}.up")
        self.smooth = places.fill(f"{name}.smooth")

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(N, C, H, W) and, from the coarser level, (N, D, H', W') -> (N, D, H, W)."""
        lateral: Tensor = self.lateral(x)
        if y is None:
            return lateral
        merged: Tensor = self.smooth(cut(self.up(y), lateral) + lateral)
        return merged


class Decoder(nn.Module):
    """Computes the scores of every pixel from the maps of several stages.

    Args:
        places: the slots and the operator of each.
        stages: names of the stages whose maps are used, the finest first.
        dropout: before the scores, in training.
    """

    REFERENCE = Reference(
        "lin2017feature",
        "Lin, Tsung-Yi and Doll{\\'a}r, Piotr and Girshick, Ross and He, Kaiming and Hariharan, Bharath and Belongie, Serge",
        "Feature Pyramid Networks for Object Detection", "CVPR", 2017, "1612.03144",
    )  # fmt: skip

    def __init__(self, places: Places, stages: Sequence[str], dropout: float) -> None:
        super().__init__()
        self.stages = tuple(stages)
        for stage in stages:
            self.add_module(stage, Merge(places, f"{NAME}.{stage}"))
        self.dropout = nn.Dropout(dropout)
        self.classifier = places.fill(f"{NAME}.classifier")
        self.up = places.fill(f"{NAME}.up")

    def forward(self, maps: dict[str, Tensor]) -> Tensor:
        """Maps (N, C, H, W) by stage -> (N, classes, H', W'); each map is removed from the dictionary when it is used."""
        y = None
        for stage in reversed(self.stages):
            y = self.get_submodule(stage)(maps.pop(stage), y)
        scores: Tensor = self.up(self.classifier(self.dropout(y)))
        return scores


def cut(y: Tensor, like: Tensor) -> Tensor:
    """Crops a map at its bottom and right to the size of another one."""
    return y[..., : like.shape[-2], : like.shape[-1]]


class WithDecoder(Network):
    """A backbone whose classifier, with all other parts after its stages, is replaced by a decoder; made by `with_decoder`.

    Args:
        places: the slots and the operator of each.
        decoder_channels: of the decoder's maps, before the backbone's `width`; the result is a multiple of 8.
        upsampling: of the decoder's maps: ``bilinear``, or the filters of ``ddf-up``, which depend on the map.
        decoder_stages: numbers of the stages whose maps are used, in increasing order; when left out, the last stage of each
            map size.
        settings: of the backbone. Settings of the parts after its stages have no effect.
    """

    backbone: ClassVar[type[Network]]

    def __init__(
        self,
        places: Places,
        *,
        decoder_channels: Annotated[int, Choice(at_least=1, at_most=4096)],
        upsampling: Annotated[str, Choice(words=UPSAMPLING)],
        decoder_stages: tuple[int, ...],
        **settings: Any,
    ) -> None:
        super().__init__(places, **settings)
        self.decoder = Decoder(places, [f"stage{number}" for number in decoder_stages], settings.get("dropout", 0.0))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> logits (N, classes, H, W)."""
        image, maps = x, dict[str, Tensor]()
        x = self.enter(x)
        for stage in self.stages:
            for block in self.get_submodule(stage).children():
                x = block(x)
            if stage in self.decoder.stages:
                maps[stage] = x
        del x
        return cut(self.decoder(maps), image)

    @classmethod
    def complete(cls, settings: Mapping[str, Any]) -> dict[str, NetworkSetting]:
        """Returns all settings of the backbone, and those of the decoder."""
        own = {name: settings.get(name, default) for name, default in DEFAULTS.items()}
        for name, value in own.items():
            dimensions(cls)[name].check(value)
        whole = cls.backbone.complete(_rest(settings))
        return {**whole, **own, STAGES: cls._stages(whole, settings.get(STAGES))}

    @classmethod
    def _stages(cls, settings: Mapping[str, NetworkSetting], said: Any) -> tuple[int, ...]:
        """Returns the numbers of the stages whose maps are used."""
        channels = settings.get("channels")
        if said is None or not isinstance(channels, tuple):
            slots = cls.backbone.slots((3, LARGE, LARGE), 2, settings)
            stages = [int(level.stage.removeprefix("stage")) for level in levels_of(slots)]
        if said is None:
            return tuple(stages)
        found = whole_numbers(STAGES, said, at_most=len(channels) if isinstance(channels, tuple) else stages[-1])
        if list(found) != sorted(set(found)):
            raise UsageError(f"{STAGES} cannot be {list(found)}. Allowed: numbers of stages, rising, like [1, 2, 3].")
        return found

    @classmethod
    def adapted(cls, settings: Mapping[str, NetworkSetting], input: Shape) -> dict[str, NetworkSetting]:
        """Adapts the settings as the backbone does, and keeps the stages whose maps are used."""
        whole = cls.complete(settings)
        own = {name: whole[name] for name in (*DEFAULTS, STAGES)}
        return {**cls.backbone.adapted(_rest(whole), input), **own}

    @classmethod
    def slots(cls, input: Shape, classes: int, settings: Mapping[str, NetworkSetting]) -> tuple[Slot, ...]:
        """Returns the slots of the backbone up to its last stage, then those of the decoder."""
        s: Mapping[str, Any] = settings
        slots = cls.backbone.slots(input, classes, _rest(settings))
        channels = make_divisible(s["decoder_channels"] * s.get("width", 1.0))
        levels = maps_of(slots, s[STAGES])
        return (*body_of(slots), *decoder_slots(levels, input, classes, channels, s["upsampling"]))

    @classmethod
    def names_compared(cls, slots: Sequence[Slot]) -> Mapping[str, str]:
        """Returns the names under which the backbone compares its slots."""
        return cls.backbone.names_compared([slot for slot in slots if slot.stage != NAME])


def _rest(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of the backbone."""
    return {name: value for name, value in settings.items() if name not in (*DEFAULTS, STAGES)}


@cache
def with_decoder(backbone: type[Network]) -> type[Network]:
    """Makes the class of a backbone's networks with a decoder."""
    made = type(f"{backbone.__name__}WithDecoder", (WithDecoder, backbone), {"backbone": backbone, "__doc__": backbone.__doc__})
    return cast("type[Network]", made)

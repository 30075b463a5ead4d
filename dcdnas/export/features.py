"""Networks as backbones for other tasks: the feature maps of the stages and their description, with timm's interface."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from dcdnas.core.architecture import Architecture
from dcdnas.core.geometry import as_int
from dcdnas.errors import UsageError
from dcdnas.networks import Network, levels_of

SIDE = 4096
"""Side of the image on which the strides of the maps are determined; it is so large that rounding does not affect them."""


class FeatureInfo:
    """Description of the feature maps: channels, stride and module of each.

    Args:
        info: ``num_chs``, ``reduction`` (stride relative to the image), ``module`` and ``index`` of every available map.
        out_indices: indices of the maps that are returned.
    """

    def __init__(self, info: Sequence[dict[str, Any]], out_indices: Sequence[int]) -> None:
        self.info, self.out_indices = list(info), tuple(out_indices)

    def __len__(self) -> int:
        return len(self.info)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.info[index]

    def get(self, key: str, idx: int | Sequence[int] | None = None) -> Any:
        """Returns a property of one map, of several maps, or of all returned maps.

        Args:
            key: ``num_chs``, ``reduction``, ``module`` or ``index``.
            idx: index or indices of the maps; None for all returned maps.
        """
        if isinstance(idx, int):
            return self.info[idx][key]
        return [self.info[i][key] for i in (self.out_indices if idx is None else idx)]

    def channels(self, idx: int | Sequence[int] | None = None) -> Any:
        """Channels of the maps; see `get`."""
        return self.get("num_chs", idx)

    def reduction(self, idx: int | Sequence[int] | None = None) -> Any:
        """Strides of the maps relative to the image; see `get`."""
        return self.get("reduction", idx)

    def module_name(self, idx: int | Sequence[int] | None = None) -> Any:
        """Names of the stages that output the maps; see `get`."""
        return self.get("module", idx)


class Features(nn.Module):
    """The stages of a network, which map images to a list of feature maps, the finest first.

    Of several stages with maps of the same size, the last one is used. The modules after the last required stage are removed, so
    that nothing unused is computed or trained.

    Args:
        network: network whose modules are taken over.
        out_indices: maps to return, counted from the finest; negative indices count from the coarsest, None returns all.

    Raises:
        UsageError: when there is no such map.
    """

    feature_info: FeatureInfo

    def __init__(self, network: Network, out_indices: Sequence[int] | None = None) -> None:
        super().__init__()
        a = network.architecture
        info = _info(type(network), a)
        wanted = range(len(info)) if out_indices is None else _numbers(out_indices)
        outside = [i for i in wanted if not -len(info) <= i < len(info)]
        if outside or not wanted:
            said = out_indices if isinstance(out_indices, str) or not isinstance(out_indices, Iterable) else list(out_indices)
            raise UsageError(f"out_indices cannot be {said!r}. Allowed: some of 0 to {len(info) - 1}, for {_listed(info)}.")
        self.feature_info = FeatureInfo(info, sorted({i % len(info) for i in wanted}))
        self._given: list[str] = self.feature_info.module_name()
        self.body = _pruned(network, self._given[-1])
        self.train(network.training)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps (N, C, H, W) to feature maps (N, D, H / reduction, W / reduction), rounded up."""
        x, found = self.body.enter(x), []
        for stage in self.body.stages:
            x = self.body.get_submodule(stage)(x)
            if stage in self._given:
                found.append(x)
        return found


def _numbers(indices: object) -> list[int]:
    """The indices as whole numbers; empty when they are not a list of them."""
    given = list(indices) if isinstance(indices, Iterable) else []
    found = [number for each in given if (number := as_int(each)) is not None]
    return found if len(found) == len(given) else []


def _info(cls: type[Network], a: Architecture) -> list[dict[str, Any]]:
    """Describes the map of each size, from the finest to the coarsest."""
    settings = cls.complete(a.settings)
    own = levels_of(cls.slots(a.input, a.classes, settings))
    large = {level.stage: level for level in levels_of(cls.slots((a.input[0], SIDE, SIDE), a.classes, settings))}
    return [
        {"num_chs": level.channels, "reduction": round(SIDE / large[level.stage].height), "module": level.stage, "index": index}
        for index, level in enumerate(own)
    ]


def _pruned(network: Network, last: str) -> Network:
    """Removes the modules after a stage from the network."""
    names = [name for name, _ in network.named_children()]
    for name in names[names.index(last) + 1 :]:
        delattr(network, name)
    network.stages = network.stages[: network.stages.index(last) + 1]
    return network


def _listed(info: Sequence[dict[str, Any]]) -> str:
    return ", ".join(f"{i['num_chs']} channels at stride {i['reduction']}" for i in info)

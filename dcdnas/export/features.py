"""A backbone for other tasks: the maps of a network's stages and what a neck has to know of them, as timm gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from dcdnas.core.architecture import Architecture
from dcdnas.errors import UsageError
from dcdnas.networks import Network, levels_of

SIDE = 4096
"""Of the image on which strides are read off the maps: no rounding there is as large as a stride."""


class FeatureInfo:
    """What is known of the maps: channels, stride and module of each.

    Args:
        info: for every map that there is, ``num_chs``, ``reduction`` (of the image's side), ``module`` and ``index``.
        out_indices: of those that are given out.
    """

    def __init__(self, info: Sequence[dict[str, Any]], out_indices: Sequence[int]) -> None:
        self.info, self.out_indices = list(info), tuple(out_indices)

    def __len__(self) -> int:
        return len(self.info)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.info[index]

    def get(self, key: str, idx: int | Sequence[int] | None = None) -> Any:
        """A fact of one map, of several, or of all that are given out.

        Args:
            key: ``num_chs``, ``reduction``, ``module`` or ``index``.
            idx: of the map or maps; None for all that are given out.
        """
        if isinstance(idx, int):
            return self.info[idx][key]
        return [self.info[i][key] for i in (self.out_indices if idx is None else idx)]

    def channels(self, idx: int | Sequence[int] | None = None) -> Any:
        """Channels of the maps; see `get`."""
        return self.get("num_chs", idx)

    def reduction(self, idx: int | Sequence[int] | None = None) -> Any:
        """Strides of the maps against the image; see `get`."""
        return self.get("reduction", idx)

    def module_name(self, idx: int | Sequence[int] | None = None) -> Any:
        """Names of the stages that put the maps out; see `get`."""
        return self.get("module", idx)


class Features(nn.Module):
    """The stages of a network: an image to a list of maps, the finest first.

    Of several stages with maps of one size the last is taken. What follows the last stage that is needed is gone, so that nothing
    is computed or trained that nobody uses.

    Args:
        network: whose modules are taken over.
        out_indices: which maps, counted from the finest; negative ones count from the coarsest, None gives all.

    Raises:
        UsageError: when there is no such map.
    """

    feature_info: FeatureInfo

    def __init__(self, network: Network, out_indices: Sequence[int] | None = None) -> None:
        super().__init__()
        a = network.architecture
        info = _info(type(network), a)
        wanted = range(len(info)) if out_indices is None else out_indices
        outside = [i for i in wanted if not -len(info) <= i < len(info)]
        if outside or not list(wanted):
            raise UsageError(f"out_indices cannot be {list(wanted)}. Allowed: some of 0 to {len(info) - 1}, for {_listed(info)}.")
        self.feature_info = FeatureInfo(info, sorted({i % len(info) for i in wanted}))
        self._given: list[str] = self.feature_info.module_name()
        self.body = _pruned(network, self._given[-1])
        self.train(network.training)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, C, H, W) -> the maps (N, D, H / reduction, W / reduction), rounded up."""
        x, found = self.body.enter(x), []
        for stage in self.body.stages:
            x = self.body.get_submodule(stage)(x)
            if stage in self._given:
                found.append(x)
        return found


def _info(cls: type[Network], a: Architecture) -> list[dict[str, Any]]:
    """Each size of map, from the finest on."""
    settings = cls.complete(a.settings)
    own = levels_of(cls.slots(a.input, a.classes, settings))
    large = {level.stage: level for level in levels_of(cls.slots((a.input[0], SIDE, SIDE), a.classes, settings))}
    return [
        {"num_chs": level.channels, "reduction": round(SIDE / large[level.stage].height), "module": level.stage, "index": index}
        for index, level in enumerate(own)
    ]


def _pruned(network: Network, last: str) -> Network:
    """The network without what comes behind a stage."""
    names = [name for name, _ in network.named_children()]
    for name in names[names.index(last) + 1 :]:
        delattr(network, name)
    network.stages = network.stages[: network.stages.index(last) + 1]
    return network


def _listed(info: Sequence[dict[str, Any]]) -> str:
    return ", ".join(f"{i['num_chs']} channels at stride {i['reduction']}" for i in info)

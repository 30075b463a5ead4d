"""The networks of the code published with KernelWarehouse (github.com/OSVAI/KernelWarehouse), whose layers share warehouses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.errors import UsageError
from dcdnas.networks import Slot, slots_of
from dcdnas.operators.kernel_warehouse import KernelWarehouse
from dcdnas.published._base import Source
from dcdnas.published._layer import PublishedLayer, inverse
from dcdnas.published._preset import RESNETS, Places, Preset, mobilenetv2_places, resnet_places, static_network

__all__ = ["source"]

NAME = "kernel-warehouse"

Pool = Callable[[Slot], str]
"""Returns the name of a slot's warehouse; empty if the slot is static."""


@dataclass(frozen=True)
class Warehouse:
    """The published settings of one warehouse.

    Args:
        budget: number of cells for each part, `cell_num_ratio`.
        outs: output channels of a cell as a fraction of the layers' greatest common divisor, `cell_outplane_ratio`.
        ins: the same for input channels, `cell_inplane_ratio`.
        basis: number of values from which a part's logits of other layers' cells are computed, as a fraction of the number of
            these cells, `nonlocal_basis_ratio`; 1 for no basis.
    """

    budget: float = 1
    outs: float = 1
    ins: float = 1
    basis: float = 1

    def basis_of(self, settings: Mapping[str, Setting], geometry: ConvGeometry) -> int:
        """Returns q of a layer: at least 16, or 0 for no basis."""
        if self.basis >= 1:
            return 0
        parts = geometry.kernel_size**2 * int(settings["out_parts"]) * int(settings["in_parts"])
        return max(int((int(settings["shared_cells"]) - int(self.budget * parts)) * self.basis), 16)


LAYER = PublishedLayer(
    KernelWarehouse,
    MappingProxyType(
        {
            "bias": "bias",
            "attention.fc1": "attention.squeeze",
            "attention.norm1": "attention.norm",
            "attention.fc2": "attention.excite",
            "attention.fc3": "attention.spread",
            "attention.basis_bias": "attention.offset",
        }
    ),
)


def kw_resnet(layers: int) -> Callable[..., Architecture]:
    """ResNet with one KernelWarehouse per stage, which the next stage's first layers share; stem and classifier are static."""

    def make(
        *,
        cell_num_ratio: float = 1,
        cell_inplane_ratio: float = 1,
        cell_outplane_ratio: float = 1,
        nonlocal_basis_ratio: float = 1,
        reduction: float = 0.0625,
        num_classes: int = 1000,
        input_size: int = 224,
        dropout: float | None = 0.1,
    ) -> Architecture:
        static = static_network("resnet", {**RESNETS[layers], "dropout": dropout}, num_classes, input_size)
        warehouse = Warehouse(cell_num_ratio, cell_outplane_ratio, cell_inplane_ratio, nonlocal_basis_ratio)
        return _with_warehouses(static, _resnet_pool, lambda pool: warehouse, reduction)

    return make


def kw_mobilenetv2(
    *,
    width_mult: float = 1.0,
    cell_num_ratio: float = 1,
    cell_inplane_ratio: float = 1,
    cell_outplane_ratio: float = 1,
    sharing_range: str = "layer_pwconv",
    reduction: float = 0.0625,
    num_classes: int = 1000,
    input_size: int = 224,
    dropout: float | None = 0.0,
) -> Architecture:
    """MobileNetV2 with KernelWarehouse in all layers except the classifier.

    With ``layer_pwconv`` as `sharing_range` the 1x1 layers of a stage share one warehouse, with ``layer`` they have two.
    """
    if sharing_range not in ("layer", "layer_pwconv"):
        raise UsageError(f"sharing_range cannot be {sharing_range!r}. Allowed: layer, layer_pwconv.")
    static = static_network("mobilenetv2", {"width": width_mult, "dropout": dropout}, num_classes, input_size)
    warehouse, roles = Warehouse(cell_num_ratio, cell_outplane_ratio, cell_inplane_ratio), dict(MOBILE)
    if sharing_range == "layer_pwconv":
        roles |= dict.fromkeys(("expand", "project", "head"), "pwconv")
    return _with_warehouses(static, lambda slot: _mobile_pool(slot, roles), lambda pool: warehouse, reduction)


def kw1d2x_mobilenetv2(
    *, width_mult: float = 1.0, num_classes: int = 1000, input_size: int = 224, dropout: float | None = 0.1
) -> Architecture:
    """MobileNetV2 with KernelWarehouse at fewer parameters; before the last two stages 1x1 layers are static."""
    static = static_network("mobilenetv2", {"width": width_mult, "dropout": dropout}, num_classes, input_size)
    return _with_warehouses(static, _half_pool, lambda pool: HALF.get(pool, Warehouse()), 0.03125)


MOBILE: Mapping[str, str] = {"expand": "pwconv0", "depthwise": "dwconv0", "project": "pwconv1", "head": "pwconv1"}
"""Role of a slot -> name of its warehouse within the stage."""

HALF: Mapping[str, Warehouse] = {
    "stage6.pwconv0": Warehouse(0.5, 0.5, 0.5),
    "stage6.pwconv1": Warehouse(0.5, 0.5, 0.5),
    "classifier": Warehouse(0.5, 1, 0.025),
}
"""The warehouses that have fewer cells than parts."""


def _resnet_pool(slot: Slot) -> str:
    """Returns the warehouse of a slot. The first layers of a stage use that of the stage before; in the first stage, which has
    none before it, a 3x3 layer uses the stage's own, and other layers are static."""
    if not slot.stage.startswith("stage") or slot.kind != "conv":
        return ""
    first = slot.block.endswith(".block1") and slot.role in ("conv1", "reduce", "shortcut")
    number = int(slot.stage.removeprefix("stage")) - first
    if not number:
        return "stage1" if slot.role == "conv1" else ""
    return f"stage{number}"


def _mobile_pool(slot: Slot, roles: Mapping[str, str] = MOBILE) -> str:
    """Returns the warehouse of a slot. The last two stages count as one; a stage's first block uses that of the stage before."""
    if slot.kind != "conv":
        return ""
    if slot.stage.startswith("stage"):
        number, first = min(6, int(slot.stage.removeprefix("stage"))), slot.block.endswith(".block1")
        return f"stage{number - (first and slot.stage not in ('stage1', 'stage7'))}.{roles[slot.role]}"
    return f"stage6.{roles['head']}" if slot.role == "head" else slot.name


def _half_pool(slot: Slot) -> str:
    if slot.kind == "linear":
        return "classifier"
    pool = _mobile_pool(slot)
    return "" if ".pwconv" in pool and not pool.startswith("stage6") else pool


def _settings(warehouse: Warehouse, reduction: float) -> dict[str, Setting]:
    outs, ins = (inverse(n, r) for n, r in (("cell_outplane_ratio", warehouse.outs), ("cell_inplane_ratio", warehouse.ins)))
    return {
        "budget": warehouse.budget,
        "out_parts": round(outs),
        "in_parts": round(ins),
        "reduction": inverse("reduction", reduction),
    }


def _with_warehouses(static: Architecture, pool: Pool, warehouse: Callable[[str], Warehouse], reduction: float) -> Architecture:
    """Puts the operator in all slots that have a warehouse; slots with the same warehouse share it.

    Args:
        static: the static network.
        pool: returns the name of a slot's warehouse.
        warehouse: returns the settings of a warehouse.
        reduction: of all attentions.
    """
    pools: dict[str, list[Slot]] = {}
    for slot in slots_of(static):
        if slot.searchable and pool(slot):
            pools.setdefault(pool(slot), []).append(slot)
    layers: dict[str, LayerChoice] = {}
    for name, slots in pools.items():
        settings = KernelWarehouse.sharing([s.geometry for s in slots], _settings(warehouse(name), reduction))
        for slot, own in zip(slots, settings, strict=True):
            own["shared_basis"] = warehouse(name).basis_of(own, slot.geometry)
            layers[slot.name] = choice_of(slot, own, "" if slot is slots[0] else slots[0].name, alone=len(slots) == 1)
    return replace(static, layers={slot.name: layers[slot.name] for slot in slots_of(static) if slot.name in layers})


def choice_of(slot: Slot, settings: Mapping[str, Setting], lender: str, alone: bool) -> LayerChoice:
    """Returns the layer of a slot, in its counted form."""
    given = {**settings, "shared_with": lender}
    if alone:
        given = {name: value for name, value in settings.items() if name not in KernelWarehouse.SHARES}
    resolved = KernelWarehouse.resolve(slot.geometry, **given)
    return LayerChoice(NAME, resolved, KernelWarehouse.counted_form(slot.geometry, resolved))


def _with_cells(places: Callable[[Architecture], Places]) -> Callable[[Architecture], Places]:
    """Adds the published warehouses to a mapping of names; the first layer of each stores its cells."""

    def found(architecture: Architecture) -> Places:
        owners = [name for name, choice in architecture.layers.items() if not choice.settings.get("shared_with")]
        of = {f"warehouse_manager.weights.{number}": f"{_operator(name)}.cells" for number, name in enumerate(owners)}
        return {**places(architecture), "classifier.1.conv": "classifier", **of}

    return found


def _operator(slot: str) -> str:
    return slot if slot == "classifier" else f"{slot}.conv"


_MOBILENET = _with_cells(mobilenetv2_places(nested=True))

source = Source(
    presets=MappingProxyType(
        {
            "kw_resnet18": Preset(kw_resnet(18), _with_cells(resnet_places), LAYER),
            "kw_resnet50": Preset(kw_resnet(50), _with_cells(resnet_places), LAYER),
            "kw_mobilenetv2": Preset(kw_mobilenetv2, _MOBILENET, LAYER),
            "kw1d2x_mobilenetv2": Preset(kw1d2x_mobilenetv2, _MOBILENET, LAYER),
        }
    ),
)

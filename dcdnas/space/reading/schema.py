"""The schema of a space file, derived from the constructors' annotations; `dcdnas schema` prints it for editors."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dcdnas.core.dimension import Dimension, dimensions
from dcdnas.core.names import NAME
from dcdnas.networks import HEADS, network_of, networks
from dcdnas.operators import operators
from dcdnas.space.frame import shares_guides, shares_weights
from dcdnas.space.parts import GUIDE, SHARE
from dcdnas.space.reading import context
from dcdnas.space.width_fit import WIDTHS

SHARES = ("layer", "block", "stage", "network")


Size = Annotated[int, Field(gt=0, le=65536, strict=True)]
Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Value = int | float | bool | str


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Proxy(_Strict):
    """The default short training: every field of `TrainingTask` except the seed and the deadline."""

    data: str = "fashion-mini"
    resolution: Annotated[int, Field(ge=0, le=65536, strict=True)] = Field(0, description="side of the images; 0: the data's own")
    classes: Annotated[int, Field(ge=0, strict=True)] = Field(
        0, description="number of the data's classes, evenly spaced; 0: all"
    )
    epochs: Size = 3
    batch_size: Annotated[int, Field(ge=2, le=65536, strict=True)] = 128
    lr: float = Field(0.4, gt=0, allow_inf_nan=False)
    classifier_width: int = Field(160, ge=0, description="features above which the classifier learns more slowly; 0: never")
    weight_decay: float = Field(1e-4, ge=0, allow_inf_nan=False)
    label_smoothing: Share = 0.1
    warmup: Share = 0.1
    augment: Literal["none", "flip", "crop-flip"] = "flip"
    controller_lr: float = Field(1.0, ge=0, allow_inf_nan=False, description="times lr, for what computes the attentions")
    controller_warmup: Share = 0.0
    norm_batches: int = Field(10, ge=0)


class SpaceFile(_Strict):
    """A dcdnas search space: a backbone, which of its settings are searched, and the operators of its slots."""

    format: Literal["dcdnas/space-1"]
    name: str = Field(min_length=1, pattern=NAME)
    description: str = ""
    network: str
    head: str = Field("", description="in place of the backbone's own classifier: `decoder` scores every pixel")
    input: tuple[Size, Size, Size] = Field(description="channels, height, width at deployment")
    resolution: Size | Annotated[list[Size], Field(min_length=1)] | None = Field(
        None, description="side of the input; a list is searched"
    )
    classes: Annotated[int, Field(ge=1, le=10_000_000, strict=True)]
    settings: dict[str, Any] = Field(default_factory=dict, description="the backbone's settings; a list is searched")
    plugins: list[str] = Field(
        default_factory=list, description="files with operators, networks and other entries of your own, relative to this file"
    )
    slots: dict[str, dict[str, Any]] = Field(default_factory=dict, description="slot pattern -> operator -> settings")
    forbid: list[dict[str, Value | list[Value]]] = Field(
        default_factory=list, description="combinations that are refused: decision -> value or values"
    )
    proxy: Proxy = Field(default_factory=lambda: Proxy.model_validate({}))
    named_only: bool = Field(False, strict=True, description="whether a budget without a space's name never selects this space")


def json_schema() -> dict[str, Any]:
    """JSON Schema of a space file, with every operator's and network's search dimensions spelled out."""
    schema = SpaceFile.model_json_schema()
    share = {"enum": list(SHARES), "description": "slots that share one choice"}
    candidates = {name: _settings_schema(operators[name], nullable=True) for name in operators}
    for name in (n for n in operators if shares_guides(operators[n])):
        candidates[name]["properties"].setdefault(GUIDE.name, _value_schema(GUIDE))
    for name in (n for n in operators if shares_weights(operators[n])):
        candidates[name]["properties"].setdefault(SHARE.name, _value_schema(SHARE))
    schema["properties"]["network"]["enum"] = list(networks)
    schema["properties"]["head"]["enum"] = ["", *HEADS]
    schema["properties"]["slots"]["additionalProperties"] = {
        "type": "object",
        "properties": {"share": share, **candidates},
        "additionalProperties": False,
    }
    settings: dict[str, Any] = {}
    for name, head in product(networks, ("", *HEADS)):
        for dimension in dimensions(network_of(name, head)).values():
            by_unit = {"type": "object", "properties": {"share": share}, "additionalProperties": _value_schema(dimension)}
            known = settings.setdefault(dimension.name, {"anyOf": []})["anyOf"]
            known += [part for part in (_value_schema(dimension), by_unit) if part not in known]
    settings["width"]["anyOf"].append(_FIT)
    settings[context.KEY] = {
        "anyOf": [
            _contexts(settings),
            {"type": "object", "properties": {"share": share}, "additionalProperties": _contexts(settings)},
        ]
    }
    schema["properties"]["settings"] = {"type": "object", "properties": settings, "additionalProperties": True}
    return schema


_BOUNDS = {"type": "array", "items": {"type": "number", "minimum": WIDTHS[0], "maximum": WIDTHS[1]}, "minItems": 2, "maxItems": 2}
_FIT: dict[str, Any] = {
    "description": "each network gets the width that fills the budget, within bounds",
    "anyOf": [
        {"const": "fit"},
        {"type": "object", "properties": {"fit": _BOUNDS}, "required": ["fit"], "additionalProperties": False},
    ],
}


def _contexts(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Schema of the kinds of context, each with the schemas of the network's settings that its own stand for."""
    kinds = {
        kind: {
            "type": "object",
            "properties": {name: settings[setting] for name, setting in inside.items()},
            "required": ["rank"],
            "additionalProperties": False,
        }
        for kind, inside in context.KINDS.items()
    }
    return {"type": "object", "properties": {"share": {"enum": list(SHARES)}, **kinds}, "additionalProperties": False}


def _settings_schema(constructor: Any, nullable: bool) -> dict[str, Any]:
    properties = {name: _value_schema(d) for name, d in dimensions(constructor).items()}
    return {"type": ["object", "null"] if nullable else "object", "properties": properties, "additionalProperties": False}


def _value_schema(dimension: Dimension) -> dict[str, Any]:
    """Schema of one option or of a list of options."""
    one: list[dict[str, Any]] = [{"enum": list(dimension.choice.words)}] if dimension.choice.words else []
    if bool in dimension.types:
        one.append({"type": "boolean"})
    if dimension.choice.at_least is not None:
        bounds = {"minimum": dimension.choice.at_least, "maximum": dimension.choice.at_most}
        kind = "number" if float in dimension.types else "integer"
        odd = {"not": {"multipleOf": 2}} if dimension.choice.odd else {}
        one.append({"type": kind, **{k: v for k, v in bounds.items() if v is not None}, **odd})
    return {
        "anyOf": [*one, {"type": "array", "items": {"anyOf": one}, "minItems": 1}],
        "description": f"allowed: {dimension.allowed}",
    }

"""Conversion of a place of a latency table to plain data and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args

from dcdnas.core.architecture import LayerChoice
from dcdnas.core.dimension import dimensions
from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.slot import Kind
from dcdnas.cost.latency.table import Place
from dcdnas.errors import DcdnasError, UsageError, nearest
from dcdnas.networks import ACTIVATIONS, VARIANTS, Slot
from dcdnas.operators import operators

GEOMETRY = tuple(f.name for f in fields(ConvGeometry))
DEFAULTS: Mapping[str, object] = {f.name: f.default for f in fields(ConvGeometry)}
KINDS = get_args(Kind)
KEYS = ("kind", *GEOMETRY, "activation", "variant", "operator", "settings", "guide_channels")


def row_of(place: Place) -> dict[str, Any]:
    """Returns the place as a dictionary; values equal to their default are left out."""
    slot, choice = place
    geometry = {n: getattr(slot.geometry, n) for n in GEOMETRY if getattr(slot.geometry, n) != DEFAULTS[n]}
    found: dict[str, Any] = {"kind": slot.kind, **geometry}
    if slot.activation:
        found["activation"] = slot.activation
    if slot.variant:
        found["variant"] = slot.variant
    found["operator"] = choice.operator
    if choice.settings:
        found["settings"] = dict(choice.settings)
    if choice.guide_channels:
        found["guide_channels"] = choice.guide_channels
    return found


def place_from(row: Mapping[str, Any]) -> Place:
    """Builds the place that a row describes, with all settings of its operator.

    Raises:
        UsageError: naming the value that cannot be used.
    """
    kind, activation = row.get("kind", "conv"), row.get("activation", "")
    if kind not in KINDS:
        raise UsageError(f"kind cannot be {kind!r}. Allowed: {', '.join(KINDS)}.")
    named = sorted({"sigmoid", "hardsigmoid", *filter(None, ACTIVATIONS)})
    if activation not in ("", *named):
        raise UsageError(f"activation cannot be {activation!r}. {nearest(str(activation), named)}")
    variant = row.get("variant", "hamburger" if kind == "hamburger" else "")
    if not isinstance(variant, str) or ((variant not in VARIANTS) if kind == "hamburger" else variant):
        raise UsageError(f"variant cannot be {variant!r}. Allowed: a decomposition and its steps, like 'nmf-6', of a hamburger.")
    numbers = {name: row[name] for name in (*GEOMETRY, "guide_channels") if name in row}
    wrong = next((n for n, v in numbers.items() if isinstance(v, bool) or not isinstance(v, int)), "")
    absent = next((n for n in GEOMETRY[:2] if n not in row), "")
    if wrong or absent:
        raise UsageError(f"{wrong or absent} must be a whole number, not {row.get(wrong or absent)!r}.")
    guide = numbers.pop("guide_channels", 0)
    geometry = ConvGeometry(**numbers)
    return Slot(kind, geometry, kind, activation, variant), _choice(row, geometry, guide)


def _choice(row: Mapping[str, Any], geometry: ConvGeometry, guide: int) -> LayerChoice:
    name, settings = row.get("operator", "static"), row.get("settings", {})
    if not isinstance(name, str) or name not in operators:
        raise operators.unknown(str(name))
    if not isinstance(settings, Mapping):
        raise UsageError(f"settings must be an object, not {settings!r}.")
    known = dimensions(operators[name])
    unknown = next((s for s in settings if s not in known and s not in operators[name].SHARES), None)
    if unknown is not None:
        raise UsageError(f"{name} has no setting {unknown!r}. {nearest(str(unknown), known)}")
    try:
        resolved = operators[name].resolve(geometry, **settings)
    except DcdnasError as error:
        raise UsageError(str(error)) from None
    return LayerChoice(name, resolved, guide_channels=guide)

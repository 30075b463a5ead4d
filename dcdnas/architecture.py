"""An architecture: the network, its settings and one operator a slot. It is also the exported model config."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from dcdnas.errors import FileError
from dcdnas.records import Setting

FORMAT = "dcdnas/architecture-1"

NetworkSetting = Setting | tuple[Any, ...]
"""A network's setting: a scalar, or (nested) tuples of them, e.g. one kernel size a block."""


@dataclass(frozen=True)
class LayerChoice:
    """The operator of one slot.

    Args:
        operator: its name, e.g. ``dcd``.
        settings: *resolved* values, so that a new default never changes an old network.
        form: the counted form, decided from the slot's geometry at deployment (``""`` where there is only one).
    """

    operator: str = "static"
    settings: Mapping[str, Setting] = field(default_factory=dict)
    form: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", MappingProxyType(dict(sorted(self.settings.items()))))

    def __hash__(self) -> int:
        return hash((self.operator, tuple(self.settings.items()), self.form))

    def __reduce__(self) -> tuple[type[LayerChoice], tuple[str, dict[str, Setting], str]]:
        return LayerChoice, (self.operator, dict(self.settings), self.form)

    def __str__(self) -> str:
        inside = ", ".join(f"{k}={v}" for k, v in self.settings.items())
        return f"{self.operator}({inside})" if inside else self.operator


@dataclass(frozen=True)
class Architecture:
    """A network that can be priced, built, trained and exported.

    Args:
        network: name of the backbone, e.g. ``mobilenetv2``.
        settings: the backbone's settings, complete.
        layers: an operator for each active slot, by the slot's name.
        input: (channels, height, width) at deployment.
        classes: outputs of the classifier.
    """

    network: str
    settings: Mapping[str, NetworkSetting]
    layers: Mapping[str, LayerChoice]
    input: tuple[int, int, int]
    classes: int

    def __post_init__(self) -> None:
        settings = {k: _frozen(v) for k, v in sorted(self.settings.items())}
        object.__setattr__(self, "settings", MappingProxyType(settings))
        object.__setattr__(self, "layers", MappingProxyType(dict(self.layers)))
        object.__setattr__(self, "input", tuple(self.input))

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Architecture) and self.digest == other.digest

    def __reduce__(self) -> tuple[Any, ...]:
        return Architecture.from_dict, (self.to_dict(),)

    @cached_property
    def digest(self) -> str:
        """Identity for duplicates and caches: 16 hex digits of SHA-256 over what the network computes with."""
        plain = self.to_dict()
        plain["layers"] = {name: [c.operator, dict(c.settings)] for name, c in sorted(self.layers.items())}
        return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dicts and scalars, the content of the model config."""
        return {
            "format": FORMAT,
            "network": self.network,
            "input": list(self.input),
            "classes": self.classes,
            "settings": {k: _plain(v) for k, v in self.settings.items()},
            "layers": {name: _layer_dict(c) for name, c in self.layers.items()},
        }

    @staticmethod
    def from_dict(plain: Mapping[str, Any], source: str = "architecture") -> Architecture:
        """The inverse of `to_dict`; keys that belong to others (cost, provenance) are left alone.

        Raises:
            FileError: naming `source`, when something needed is missing or of the wrong type.
        """
        if not isinstance(plain, Mapping) or plain.get("format") != FORMAT:
            found = plain.get("format") if isinstance(plain, Mapping) else type(plain).__name__
            raise FileError(
                f"{source}: not a dcdnas model config: format is {found!r}. Allowed: {FORMAT!r}. `dcdnas export` writes one."
            )
        try:
            return Architecture(
                network=str(plain["network"]),
                settings=dict(plain["settings"]),
                layers={str(name): _layer(entry) for name, entry in plain["layers"].items()},
                input=_shape(plain["input"]),
                classes=int(plain["classes"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FileError(f"{source}: {type(error).__name__}: {error}. `dcdnas export` writes a complete config.") from None

    @staticmethod
    def read(path: str | Path) -> Architecture:
        """Reads a model config from a YAML or JSON file.

        Raises:
            FileError: when the file is missing, no YAML, or no model config.
        """
        try:
            plain = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise FileError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}.") from None
        except yaml.YAMLError as error:
            raise FileError(f"{path}: not valid YAML: {error}") from None
        if isinstance(plain, Mapping) and isinstance(plain.get("dcdnas"), Mapping):
            plain = plain["dcdnas"]
        return Architecture.from_dict(plain, str(path))


def _layer(entry: Any) -> LayerChoice:
    if isinstance(entry, str):
        return LayerChoice(entry)
    settings = {k: v for k, v in entry.items() if k not in ("operator", "form")}
    return LayerChoice(str(entry["operator"]), settings, str(entry.get("form", "")))


def _layer_dict(choice: LayerChoice) -> dict[str, Any]:
    form = {"form": choice.form} if choice.form else {}
    return {"operator": choice.operator, **choice.settings, **form}


def _shape(value: Any) -> tuple[int, int, int]:
    channels, height, width = (int(v) for v in value)
    return channels, height, width


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, (list, tuple)) else value


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, tuple) else value

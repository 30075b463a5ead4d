"""An architecture: the network, its settings and one operator per slot. It is also the exported model config."""

from __future__ import annotations

import hashlib
import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from dcdnas.core.geometry import Setting
from dcdnas.core.plugins import expect
from dcdnas.core.slot import DYNAMIC_ACTIVATIONS
from dcdnas.core.yaml_lines import read_yaml
from dcdnas.errors import FileError

FORMAT = "dcdnas/architecture-1"

NetworkSetting = Setting | tuple[Any, ...]
"""A network's setting: a scalar, or (nested) tuples of scalars, e.g. one kernel size per block."""


_OPERATOR = re.compile('"operator": "([^"]*)"')
"""Matches the name of an operator in JSON that Python's `json` module has written."""

One = TypeVar("One", str, int)
Entry = TypeVar("Entry")


@dataclass(frozen=True)
class LayerChoice:
    """The operator of one slot.

    Args:
        operator: its name, e.g. ``dcd``.
        settings: the *resolved* values of its settings, so that a new default never changes an old network.
        form: the counted form, decided from the slot's geometry at deployment (``""`` for an operator with a single form).
        guide_channels: channels of the guide that the layer takes from the first layer of its block; 0 when it computes its own.
    """

    operator: str = "static"
    settings: Mapping[str, Setting] = field(default_factory=dict)
    form: str = ""
    guide_channels: int = 0
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        settings = dict(sorted(self.settings.items()))
        object.__setattr__(self, "settings", MappingProxyType(settings))
        object.__setattr__(self, "_hash", hash((self.operator, tuple(settings.items()), self.form, self.guide_channels)))

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[type[LayerChoice], tuple[str, dict[str, Setting], str, int]]:
        return LayerChoice, (self.operator, dict(self.settings), self.form, self.guide_channels)

    def __str__(self) -> str:
        inside = [f"{k}={v}" for k, v in self.settings.items()] + ["guided"] * bool(self.guide_channels)
        return f"{self.operator}({', '.join(inside)})" if inside else self.operator


@dataclass(frozen=True)
class Architecture:
    """A network that can be priced, built, trained and exported.

    Args:
        network: name of the backbone, e.g. ``mobilenetv2``.
        settings: the backbone's settings, complete.
        layers: an operator for each active slot, by the slot's name.
        input: (channels, height, width) at deployment.
        classes: outputs of the classifier.
        head: name of the head that replaces the backbone's own classifier, e.g. ``decoder``; empty for the classifier.
    """

    network: str
    settings: Mapping[str, NetworkSetting]
    layers: Mapping[str, LayerChoice]
    input: tuple[int, int, int]
    classes: int
    head: str = field(default_factory=str)

    def __post_init__(self) -> None:
        settings = {k: _frozen(v) for k, v in sorted(self.settings.items())}
        object.__setattr__(self, "settings", MappingProxyType(settings))
        object.__setattr__(self, "layers", MappingProxyType(dict(self.layers)))
        object.__setattr__(self, "input", tuple(self.input))

    @staticmethod
    def unread(text: str, source: str) -> Architecture:
        """Makes an architecture whose JSON is parsed at first access, because most of the networks of a run never need it.

        Args:
            text: JSON of `to_dict`; the caller has made sure that it is unchanged since it was written.
            source: name of the text's origin for error messages, in case it is no architecture after all.
        """
        made = object.__new__(Architecture)
        made.__dict__["_unread"] = (text, source)
        return made

    def __getattr__(self, name: str) -> Any:
        """Parses the JSON of an `unread` architecture; Python calls this for attributes that the instance does not have.

        Raises:
            FileError: when the text is no architecture.
        """
        if name.startswith("_") or "_unread" not in self.__dict__:
            raise AttributeError(name)
        text, source = self.__dict__["_unread"]
        self.__dict__.update(Architecture.from_dict(_json(text, source), source).__dict__)
        self.__dict__.pop("_unread", None)  # last, because other threads may be reading at the same time
        return getattr(self, name)

    @property
    def operators(self) -> Mapping[str, str]:
        """Name of the operator in each slot; an `unread` architecture stays unread, and only its layers are looked up."""
        unread = self.__dict__.get("_unread")
        if unread is None:
            return {slot: choice.operator for slot, choice in self.layers.items()}
        try:
            layers = _json(*unread)["layers"]
            return {slot: said if type(said) is str else said["operator"] for slot, said in layers.items()}
        except (KeyError, TypeError, AttributeError):
            raise FileError(f"{unread[1]}: the layers name no operators.") from None

    @property
    def operator_names(self) -> set[str]:
        """Names of its operators; in an `unread` architecture they are found by searching its text."""
        unread = self.__dict__.get("_unread")
        return set(_OPERATOR.findall(unread[0])) if unread else {choice.operator for choice in self.layers.values()}

    @property
    def dynamic_activations(self) -> tuple[str, ...]:
        """Names of its dynamic activations; in an `unread` architecture they are found by searching its text."""
        unread = self.__dict__.get("_unread")
        said = unread[0] if unread else json.dumps(self.settings.get("activation"))
        return tuple(name for name in DYNAMIC_ACTIVATIONS if f'"{name}"' in said)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Architecture) and self.digest == other.digest

    def __reduce__(self) -> tuple[Any, ...]:
        return Architecture.from_dict, (self.to_dict(),)

    @property
    def named(self) -> str:
        """The backbone and its head in words, see `with_head`."""
        return with_head(self.network, self.head)

    @cached_property
    def digest(self) -> str:
        """Identifies this config by 16 hex digits of SHA-256; `dcdnas.networks.identity` identifies the network built from it."""
        plain = canonical(self.to_dict())
        plain["layers"] = {name: _identity(c) for name, c in self.layers.items()}
        return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Converts the architecture to plain lists, dicts and scalars, the content of the model config."""
        return {
            "format": FORMAT,
            "network": self.network,
            **({"head": self.head} if self.head else {}),
            "input": list(self.input),
            "classes": self.classes,
            "settings": {k: _plain(v) for k, v in self.settings.items()},
            "layers": {name: _layer_dict(c) for name, c in self.layers.items()},
        }

    @staticmethod
    def from_dict(plain: Mapping[str, Any], source: str = "architecture") -> Architecture:
        """Reads an architecture from the data of `to_dict`; ignores keys of other readers (cost, provenance).

        Raises:
            FileError: naming `source`, when a required key is missing or has a value of the wrong type.
        """
        if not isinstance(plain, Mapping) or plain.get("format") != FORMAT:
            found = plain.get("format") if isinstance(plain, Mapping) else type(plain).__name__
            raise FileError(
                f"{source}: not a dcdnas model config: format is {found!r}. Allowed: {FORMAT!r}. `dcdnas export` writes one."
            )
        where = _Where(source)
        return Architecture(
            network=where.one(plain, "network", str),
            settings=where.table(plain, "settings", where.setting),
            layers=where.table(plain, "layers", where.layer),
            input=where.shape(plain),
            classes=where.one(plain, "classes", int),
            head=where.one(plain, "head", str) if "head" in plain else "",
        )

    @staticmethod
    def read(path: str | Path) -> Architecture:
        """Reads a model config from a YAML or JSON file.

        Raises:
            FileError: when the file is missing, is no YAML, or is no model config.
        """
        return Architecture.from_config(read_yaml(path).data, str(path))

    @staticmethod
    def from_config(content: Any, source: str) -> Architecture:
        """Reads the architecture from the content of a model config; a config in timm's format holds it under the key ``dcdnas``.

        Raises:
            FileError: naming `source`, when it is no model config.
        """
        inside = content.get("dcdnas") if isinstance(content, Mapping) else None
        if isinstance(inside, Mapping):
            expect(inside.get("plugins"))
        return Architecture.from_dict(inside if isinstance(inside, Mapping) else content, source)


def with_head(network: str, head: str) -> str:
    """Names a backbone and its head in words: ``resnet``, ``resnet with decoder``."""
    return f"{network} with {head}" if head else network


def is_config(content: Any) -> bool:
    """Whether a file's content is a model config, dcdnas's own or in timm's format, rather than a space."""
    if not isinstance(content, Mapping):
        return False
    return str(content.get("format", "")).startswith("dcdnas/architecture") or isinstance(content.get("dcdnas"), Mapping)


class _Where:
    """Reads the parts of a model config; every error message begins with the file's name and the path of the key in it."""

    def __init__(self, source: str) -> None:
        self.source = source

    def one(self, plain: Mapping[str, Any], key: str, kind: type[One], under: str = "") -> One:
        """Reads the value of a required key: a string, or a positive integer; `under` is the path of `plain` in the file."""
        value = plain.get(key)
        if not isinstance(value, kind) or isinstance(value, bool) or (isinstance(value, int) and value < 1):
            raise self._wrong(under + key, value, "a name" if kind is str else "a whole number, 1 or more")
        return value

    def shape(self, plain: Mapping[str, Any]) -> tuple[int, int, int]:
        """Reads the input's channels, height and width."""
        value = plain.get("input")
        if not isinstance(value, (list, tuple)) or len(value) != 3 or not all(type(v) is int and v > 0 for v in value):
            raise self._wrong("input", value, "three whole numbers: channels, height, width")
        return value[0], value[1], value[2]

    def table(self, plain: Mapping[str, Any], key: str, read: Callable[[str, Any], Entry]) -> dict[str, Entry]:
        """Reads a mapping from names to values, each value with `read`."""
        value = plain.get(key)
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise self._wrong(key, value, "a mapping from names")
        return {sys.intern(name): read(f"{key}.{name}", entry) for name, entry in value.items()}

    def setting(self, path: str, value: Any) -> NetworkSetting:
        """Reads a scalar, or nested lists of scalars."""
        if isinstance(value, (list, tuple)):
            return tuple([self.setting(path, v) for v in value])
        return self.scalar(path, value)

    def scalar(self, path: str, value: Any) -> Setting:
        """Reads a finite number, a string or a boolean."""
        if not isinstance(value, (int, float, str)) or (isinstance(value, float) and not math.isfinite(value)):
            raise self._wrong(path, value, "a number, a word, true or false")
        return value

    def layer(self, path: str, entry: Any) -> LayerChoice:
        """Reads an operator's name, or a mapping with `operator` and its settings; equal mappings yield one cached object."""
        if isinstance(entry, str):
            return LayerChoice(entry)
        key = _layer_key(entry)
        known = None if key is None else _LAYERS.get(key)
        if known is None:
            known = self._new_layer(path, entry)
            if key is not None and len(_LAYERS) < _MOST_LAYERS:
                _LAYERS[key] = known
        return known

    def _new_layer(self, path: str, entry: Any) -> LayerChoice:
        if not isinstance(entry, Mapping) or not all(isinstance(v, str) for v in (*entry, entry.get("operator"))):
            raise self._wrong(path, entry, "an operator's name, or a mapping with `operator` and its settings")
        settings = {k: self.scalar(f"{path}.{k}", v) for k, v in entry.items() if k not in _NO_SETTINGS}
        guide = self.one(entry, "guide_channels", int, f"{path}.") if "guide_channels" in entry else 0
        form = self.one(entry, "form", str, f"{path}.") if "form" in entry else ""
        return LayerChoice(entry["operator"], settings, form, guide)

    def _wrong(self, path: str, value: Any, allowed: str) -> FileError:
        found = "missing" if value is None else f"{value!r}"[:60]
        return FileError(f"{self.source}: {path}: {found}. Allowed: {allowed}. `dcdnas export` writes a complete config.")


_NO_SETTINGS = ("operator", "form", "guide_channels")
"""Keys of a layer's entry that are not settings of its operator."""

_LAYERS: dict[Any, LayerChoice] = {}
_MOST_LAYERS = 100_000
"""Largest size of the cache `_LAYERS`, which pays because a run's thousands of networks consist of few different layers."""


def _layer_key(entry: Any) -> Any:
    """Hashable key of a layer's entry, with types because 1, 1.0 and true are equal; None when it is no valid entry."""
    try:
        key = (tuple(entry), tuple(entry.values()), tuple(map(type, entry.values())))
        hash(key)
    except (AttributeError, TypeError):
        return None
    return key


def _layer_dict(choice: LayerChoice) -> dict[str, Any]:
    form = {"form": choice.form} if choice.form else {}
    guide = {"guide_channels": choice.guide_channels} if choice.guide_channels else {}
    return {"operator": choice.operator, **choice.settings, **form, **guide}


def _identity(choice: LayerChoice) -> list[Any]:
    """The part of a layer choice that decides what it computes; the form is left out, since all forms compute the same."""
    return [choice.operator, canonical(dict(choice.settings)), *([choice.guide_channels] if choice.guide_channels else [])]


def _json(text: str, source: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise FileError(f"{source}: not valid JSON.") from None


def _frozen(value: Any) -> Any:
    return tuple([_frozen(v) for v in value]) if isinstance(value, (list, tuple)) else value


def canonical(value: Any) -> Any:
    """Converts whole floats to integers (1.0 to 1), because tools that rewrite JSON and YAML do not keep the two apart."""
    if isinstance(value, dict):
        return {k: canonical(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(v) for v in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, tuple) else value

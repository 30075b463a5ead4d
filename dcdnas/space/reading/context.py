"""The key `context` of a space file's settings: which stages may end in a global-context module, and of which kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dcdnas.core.yaml_lines import Key
from dcdnas.errors import nearest
from dcdnas.space.reading.problems import Problems, shown

KEY = "context"

KINDS: Mapping[str, Mapping[str, str]] = {
    "hamburger": {"rank": "hamburger_rank", "steps": "hamburger_steps", "decomposition": "hamburger_decomposition"}
}
"""For each kind of context, the names of its settings -> the network's settings that they stand for."""

EXAMPLE = "like `context: {stage3: {hamburger: {rank: [0, 8, 16]}}}`"

Spread = dict[str, dict[str, Any]]
"""Setting of a network -> pattern of stages -> options, and ``share`` where the file gives it."""


def spread(problems: Problems, given: Any) -> tuple[Spread, dict[tuple[str, str], Key]]:
    """Translates `context` into settings of the network, and returns where in the file each of them stands.

    Args:
        problems: collects what is wrong.
        given: content of the key: a kind with its settings for all stages, or a kind for each pattern of stages; and `share`.
    """
    key: Key = ("settings", KEY)
    if not isinstance(given, dict) or not given:
        problems.add(key, f"cannot be {shown(given)}. Allowed: kinds of context by stage, {EXAMPLE}.")
        return {}, {}
    everywhere = any(kind in given for kind in KINDS)
    by_stage = {"*": {k: v for k, v in given.items() if k != "share"}} if everywhere else given
    found: Spread = {}
    places: dict[tuple[str, str], Key] = {}
    for pattern, kinds in by_stage.items():
        if pattern == "share":
            continue
        above: Key = key if everywhere else (*key, str(pattern))
        for kind, name, options, place in _settings(problems, above, kinds):
            setting = KINDS[kind][name]
            found.setdefault(setting, {})[str(pattern)] = options
            places[setting, str(pattern)] = place
    if "share" in given:
        for rows in found.values():
            rows["share"] = given["share"]
    return found, places


def _settings(problems: Problems, key: Key, kinds: Any) -> list[tuple[str, str, Any, Key]]:
    """Returns (kind, setting, options, key in the file) of every setting given for a pattern of stages."""
    if not isinstance(kinds, dict):
        problems.add(key, f"cannot be {shown(kinds)}. Allowed: a kind of context with its settings, {EXAMPLE}.")
        return []
    found = []
    for kind, settings in kinds.items():
        if kind not in KINDS:
            problems.add((*key, str(kind)), f"{shown(kind)} is no kind of context. {nearest(str(kind), KINDS)}")
            continue
        rows = settings if isinstance(settings, dict) else {}
        if "rank" not in rows:
            problems.add((*key, str(kind)), f"the key 'rank' is missing. Give it, {EXAMPLE}; 0 is no context.")
        for name, options in rows.items():
            if name in KINDS[kind]:
                found.append((kind, name, options, (*key, kind, name)))
            else:
                problems.add((*key, kind, str(name)), f"{kind} has no setting {name!r}. {nearest(str(name), KINDS[kind])}")
    return found

"""Replaces convolutions of any torch network by operators that compute the same function with the same weights."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from torch import nn

from dcdnas.core.architecture import LayerChoice
from dcdnas.core.dimension import dimensions
from dcdnas.core.slot import Slot
from dcdnas.errors import GeometryError, UsageError
from dcdnas.networks import Network
from dcdnas.operators import DDFUp, DynamicActivation, Operator, Static, operators

Where = str | Sequence[str] | Callable[[str, nn.Module], bool] | None

Module = TypeVar("Module", bound=nn.Module)

DYNAMIC = Operator, DDFUp, DynamicActivation
"""Layers whose own convolutions are part of them."""

MOST_SAID = 5
"""The most convolutions that a message names."""


def convert(module: Module, operator: str, where: Where = None, **settings: Any) -> Module:
    """Copies a network and replaces convolutions of the copy by a dynamic operator.

    Until it is trained, the copy computes the same function as the original, in training mode too. The architecture of a dcdnas
    network is updated with the new operators, so that the copy can be priced, exported and loaded like any other network.

    Args:
        module: any torch network, or one convolution.
        operator: name of the operator, e.g. ``"odconv"``; `dcdnas list operators` shows all.
        where: the convolutions to replace: a name as `named_modules` gives it, a pattern like ``"layer3.*"``, several of these,
            or a function of name and module; None for all convolutions. Those that are part of a dynamic layer cannot be
            chosen, nor those of a dcdnas network for which its architecture names no operator, like the classifier of pixels.
        **settings: of the operator, e.g. ``num_kernels=4``.

    Raises:
        UnknownNameError: when no operator has this name.
        UsageError: when `where` matches no convolution, a setting is unknown, or `module` is not a torch module.
        GeometryError: naming the convolutions that the operator cannot replace; then nothing is converted.
    """
    if not isinstance(module, nn.Module):
        raise UsageError(
            f"{type(module).__name__} cannot be converted. Allowed: a torch module. A published network with its checkpoint: "
            "dcdnas.load_published(name, checkpoint)."
        )
    converted = copy.deepcopy(module)
    names = _named(converted)
    wanted = {id(names[name]): names[name] for name in _chosen(names, where)}
    paths = [(name, module) for name, module in converted.named_modules(remove_duplicate=False) if id(module) in wanted]
    made = _made(operator, paths, settings)
    if id(converted) in made:
        return made[id(converted)]  # type: ignore[return-value]
    for path, conv in paths:
        parent, _, name = path.rpartition(".")
        setattr(converted.get_submodule(parent), name, made[id(conv)])
    for prefix, part in converted.named_modules():
        if isinstance(part, Network):
            begin = f"{prefix}." if prefix else ""
            _tell(part, operator, [path.removeprefix(begin) for path, _ in paths if path.startswith(begin)], settings)
    return converted


def _named(module: nn.Module) -> dict[str, nn.Module]:
    """Returns the convolutions that can be chosen, by name: torch's (including those that no operator can replace) and static
    operators.

    Those that belong to a dynamic layer are left out. Of a dcdnas network there are only the operators of its slots, because
    its architecture can describe no other ones.
    """
    kinds = nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d
    closed: list[str] = []
    own: set[str] = set()
    for name, part in module.named_modules(remove_duplicate=False):
        begin = f"{name}." if name else ""
        if isinstance(part, (Network, *DYNAMIC)) and type(part) is not Static:
            closed.append(begin)
        if isinstance(part, Network):
            own |= {f"{begin}{slot.name}.conv" for slot in _slots(part)}
    return {
        name: part
        for name, part in module.named_modules(remove_duplicate=False)
        if type(part) is Static or isinstance(part, kinds)
        if (type(part) is Static if name in own else not name.startswith(tuple(closed)))
    }


def _chosen(names: dict[str, nn.Module], where: Where) -> list[str]:
    """Returns the names of the convolutions that `where` selects.

    Raises:
        UsageError: when it, or one of its patterns, selects none.
    """
    known = ", ".join(_first([name or "the module itself" for name in names], "and {} more"))
    known = f"Convolutions: {known}" if names else "The network has none"
    if where is None or callable(where):
        chosen = [name for name, part in names.items() if where is None or where(name, part)]
        if not chosen:
            raise UsageError(f"`where` selects no convolution. {known}.")
        return chosen
    patterns = [where] if isinstance(where, str) else list(where)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UsageError(f"where: {pattern!r} matches no convolution. {known}.")
    if not patterns:
        raise UsageError(f"`where` is empty and selects no convolution. {known}.")
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def _made(operator: str, paths: Sequence[tuple[str, nn.Module]], settings: dict[str, Any]) -> dict[int, Operator]:
    """Makes the operator for each convolution, by the convolution's id.

    Raises:
        GeometryError: naming the convolutions that the operator cannot replace.
    """
    made: dict[int, Operator] = {}
    problems: list[str] = []
    modules = {id(part): part for _, part in paths}.values()
    owners = Counter(id(part.weight) for part in modules)
    for path, part in {id(part): (path, part) for path, part in reversed(paths)}.values():
        try:
            if owners[id(part.weight)] > 1:
                raise GeometryError("it shares its weight with another convolution.")
            made[id(part)] = operators[operator].from_conv(_as_conv2d(part), **settings)
        except GeometryError as error:
            problems.append(f"{path}: {error}" if path else str(error))
    if problems and len(modules) == 1:
        raise GeometryError(f"{operator} cannot replace the convolution. {problems[0]}")
    if problems:
        raise GeometryError(
            f"{operator} cannot replace {len(problems)} of {len(modules)} convolutions, so nothing was converted. "
            f"{' '.join(_first(problems[::-1], 'And {} more.'))} Choose others with `where`."
        )
    return made


def _as_conv2d(part: nn.Module) -> nn.Module:
    """Converts a static operator to torch's convolution; any other module is returned as it is."""
    return part.as_conv2d() if isinstance(part, Static) else part


def _tell(network: Network, operator: str, paths: Iterable[str], settings: dict[str, Any]) -> None:
    """Records the converted layers in the network's architecture."""
    cls, architecture = operators[operator], network.architecture
    known = {name: value for name, value in settings.items() if name in dimensions(cls)}
    layers = dict(architecture.layers)
    for slot in _slots(network):
        if f"{slot.name}.conv" in paths:
            resolved = cls.resolve(slot.geometry, **known)
            layers[slot.name] = LayerChoice(operator, resolved, cls.counted_form(slot.geometry, resolved))
    network.architecture = replace(architecture, layers=layers)


def _slots(network: Network) -> tuple[Slot, ...]:
    """Returns the slots of a network."""
    plan, architecture = type(network), network.architecture
    return plan.slots(architecture.input, architecture.classes, plan.complete(architecture.settings))


def _first(texts: Iterable[str], rest: str) -> list[str]:
    """Returns the first `MOST_SAID` texts and, if there are more, the text `rest` with the number of the others."""
    shown = list(texts)
    return shown[:MOST_SAID] + [rest.format(len(shown) - MOST_SAID)] * (len(shown) > MOST_SAID)

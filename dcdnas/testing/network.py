"""The contract of a network, one function per rule; `check_network` runs all of them on a few of its settings.

Letters in shapes: N batch, C channels, H W map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.plugins import require, rules_of
from dcdnas.cost import measure, price
from dcdnas.errors import GeometryError, UsageError
from dcdnas.networks import Network, Shape, build_network, class_of, for_proxy, networks, slots_of
from dcdnas.operators import operators
from dcdnas.testing.rules import entered, kept

CLASSES = 5


def check_network(
    network: type[Network],
    settings: Iterable[Mapping[str, Any]] = ({},),
    input: Shape = (3, 32, 32),
    dynamic: str = "odconv",
    head: str = "",
) -> None:
    """Checks a network by the rules that the package's own networks keep.

    Args:
        network: the class.
        settings: one or several sets of settings that it accepts; small networks are checked within seconds.
        input: C, H, W of its images.
        dynamic: operator that is put into the slots that support it.
        head: that replaces the network's own classifier; its settings are among those of `settings`.

    Raises:
        ContractError: at the first broken rule, with the settings and what was found.
    """
    kept(f"{network.__name__}: the rules of a network", partial(rules_of("network"), "", network))
    with entered(networks, network) as name, torch.random.fork_rng(devices=[]):
        kept(f"{network.__name__}: An unknown setting is refused", lambda: unknown_setting_refused(network))
        for given in settings:
            bare = Architecture(name, given, {}, input, CLASSES, head)
            kept(f"{network.__name__} with {dict(given)}: its slots", partial(slots_of, bare))
            for architecture in (bare, with_operator(bare, dynamic)):
                for rule, check in RULES.items():
                    where = f"{network.__name__} with {dict(given)}" + (f" and {dynamic}" if architecture.layers else "")
                    kept(f"{where}: {rule}", partial(check, architecture))


def with_operator(architecture: Architecture, operator: str) -> Architecture:
    """Returns the architecture with an operator in all slots that support it."""
    layers = {}
    for slot in slots_of(architecture):
        try:
            if slot.kind == "conv":
                layers[slot.name] = LayerChoice(operator, operators[operator].resolve(slot.geometry))
        except GeometryError:
            continue
    return replace(architecture, layers=layers)


def unknown_setting_refused(network: type[Network]) -> None:
    """An unknown setting is refused."""
    try:
        network.complete({"colour_of_it": 3})
    except UsageError:
        return
    require(False, "complete({'colour_of_it': 3}) has to raise a UsageError; dcdnas.networks has `checked` for it")


def settings_settle(architecture: Architecture) -> None:
    """Complete settings do not change when they are completed again, nor when they were written before."""
    cls = class_of(architecture)
    complete = cls.complete(architecture.settings)
    for again in (cls.complete(complete), cls.complete(cls.written(complete))):
        require(again == complete, f"{complete} becomes {again}")


def slots_are_modules(architecture: Architecture) -> None:
    """Every slot is a module of the same name, and every parameter belongs to a slot."""
    network = build_network(architecture)
    names = [slot.name for slot in slots_of(architecture)]
    modules = dict(network.named_modules())
    lacking = [name for name in names if not isinstance(modules.get(name), nn.Module)]
    require(not lacking, f"no module is called {', '.join(lacking)}")
    beside = [key for key in network.state_dict() if not key.startswith(tuple(f"{name}." for name in names))]
    require(not beside, f"{', '.join(beside)} belongs to no slot")


def maps_as_planned(architecture: Architecture) -> None:
    """Each slot receives a map of its geometry's size, and the network has one output per class, with a head at each pixel."""
    network, seen = build_network(architecture).eval(), {}

    def note(name: str) -> Callable[..., None]:
        return lambda module, inputs, output: seen.update({name: tuple(inputs[0].shape[1:])})

    for slot in slots_of(architecture):
        network.get_submodule(slot.name).register_forward_hook(note(slot.name))
    with torch.no_grad():
        logits = network(torch.zeros(2, *architecture.input))
    for slot in slots_of(architecture):
        require(seen.get(slot.name) == slot.input, f"{slot.name} receives {seen.get(slot.name)}, and its slot says {slot.input}")
    wanted = (2, *outputs_of(architecture))
    require(tuple(logits.shape) == wanted, f"the output is {tuple(logits.shape)} and not {wanted}")


def price_is_measured(architecture: Architecture) -> None:
    """The price of the slots is what is measured on the whole network."""
    priced, measured = dict(price(architecture).values), dict(measure(build_network(architecture)).values)
    require(priced == measured, f"it is priced at {priced} and measures {measured}")


def trains(architecture: Architecture) -> None:
    """A training step gives every parameter a finite gradient."""
    network = build_network(architecture)
    network(torch.randn(3, *architecture.input)).square().sum().backward()
    bad = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    require(not bad, f"{', '.join(bad)} has none")


def fits_small_images(architecture: Architecture) -> None:
    """The network for a proxy's small images computes, and has the same slots for operators."""
    channels, *_ = architecture.input
    small = for_proxy(architecture, (channels, 8, 8), 3)
    names, before = ([slot.name for slot in slots_of(a) if slot.searchable] for a in (small, architecture))
    require(names == before, f"the slots are {', '.join(names)} and not {', '.join(before)}")
    with torch.no_grad():
        found = tuple(build_network(small).eval()(torch.zeros(2, *small.input)).shape)
    wanted = (2, *outputs_of(small))
    require(found == wanted, f"the output is {found} and not {wanted}")


def outputs_of(architecture: Architecture) -> tuple[int, ...]:
    """Returns the shape of a network's output, without the batch."""
    return (architecture.classes, *architecture.input[1:]) if architecture.head else (architecture.classes,)


RULES: Mapping[str, Callable[[Architecture], None]] = {
    (check.__doc__ or "").rstrip("."): check
    for check in (settings_settle, slots_are_modules, maps_as_planned, price_is_measured, trains, fits_small_images)
}
"""The checks of each architecture, by their rules in words."""

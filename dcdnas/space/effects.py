"""Checks that every decision of a space can change the trained network; otherwise chance alone would decide it."""

from __future__ import annotations

import random
from collections.abc import Callable

from dcdnas.core.architecture import Architecture
from dcdnas.core.geometry import Setting
from dcdnas.core.task import proxy_side
from dcdnas.errors import UsageError
from dcdnas.networks import identity
from dcdnas.space.parts import Decision
from dcdnas.space.search_space import SearchSpace

CONTEXTS = 8
"""Number of networks in which each decision is tested for an effect."""

Trained = Callable[[Architecture], str]
"""Maps an architecture to the identity of the network that is trained for it."""


def check_effects(space: SearchSpace, trained: Trained) -> None:
    """Refuses a space with a decision that changes the deployed network but never the trained one.

    Options that build the same network under different names are no error, because that network is trained only once.

    Args:
        space: to be checked; a fitted width must already have its budget, see `SearchSpace.filling`.
        trained: returns the identity of the network trained for an architecture; equal for equal networks.

    Raises:
        UsageError: naming all decisions without effect and their options.
    """
    idle = [d for d in space.decisions if not has_effect(space, d, trained) and has_effect(space, d, identity)]
    if idle:
        named = "; ".join(f"{d.name} ({', '.join(map(str, d.options))})" for d in idle)
        raise UsageError(
            f"{space.name}: these decisions never change the network that is trained: {named}. Give options that build "
            "different networks, or a single value, which is not searched."
        )


def has_effect(space: SearchSpace, decision: Decision, trained: Trained) -> bool:
    """Whether two options of a decision lead to different trained networks in at least one of `CONTEXTS` networks."""
    for number in range(CONTEXTS):
        rest = _others(space, decision, random.Random(number), number)
        seen = set()
        for option in decision.options:
            outcome = space.decide(lambda name, options, o=option, r=rest: o if name == decision.name else r[name])  # type: ignore[misc]
            if decision.name in outcome and not space.forbids(outcome):
                seen.add(trained(space.architecture(outcome)))
        if len(seen) > 1:
            return True
    return False


def check_resolutions(space: SearchSpace, side: int) -> None:
    """Refuses a proxy so small that two resolutions of the space would train on images of the same size.

    Args:
        space: whose resolutions are checked.
        side: of the proxy's images in pixels; the largest resolution trains on images of this size.

    Raises:
        UsageError: naming the resolutions that coincide, and the smallest proxy size that separates all of them.
    """
    largest = max(space.resolutions)

    def sides(proxy: int) -> list[int]:
        return [proxy_side(proxy, resolution / largest) for resolution in space.resolutions]

    found = sides(side)
    if len(set(found)) == len(found):
        return
    same = [r for r, s in zip(space.resolutions, found, strict=True) if found.count(s) > 1]
    enough = next(proxy for proxy in range(side + 1, largest + 1) if len(set(sides(proxy))) == len(found))
    raise UsageError(
        f"{space.name}: on proxy images of {side} pixels the resolutions {', '.join(map(str, same))} would train on images of "
        f"one size. Give a proxy resolution of at least {enough}, for example --proxy-resolution {enough}."
    )


def _others(space: SearchSpace, decision: Decision, rng: random.Random, number: int) -> dict[str, Setting]:
    """Options of all other decisions under which `decision` exists: the first ones (number 0), the last (1), else random ones."""
    pick: Callable[[tuple[Setting, ...]], Setting] = (lambda o: o[0], lambda o: o[-1], rng.choice)[min(number, 2)]
    rest = {d.name: pick(d.options) for d in space.decisions}
    known, below = {d.name: d for d in space.decisions}, decision
    while below.parent:
        rest[below.parent] = pick(below.when)
        below = known[below.parent]
    return rest

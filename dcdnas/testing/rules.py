"""Reports a broken rule to the author of an entry."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import torch

from dcdnas.core.catalogue import Catalogue
from dcdnas.errors import ContractError, DataError


def kept(rule: str, check: Callable[[], object]) -> None:
    """Runs a check, and reports its rule when it fails.

    Args:
        rule: that is checked, in words.
        check: raises when the rule is broken.

    Raises:
        ContractError: with the rule and what the check raised.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
            check()
    except Exception as error:
        plain = isinstance(error, (AssertionError, DataError))
        found = " ".join(str(error).split()) or type(error).__name__
        raise ContractError(f"{rule}: {found if plain else f'{type(error).__name__}: {found}'}") from error


_TURNS = count(1)


@contextmanager
def entered(catalogue: Catalogue[Any], entry: object, name: str = "") -> Iterator[str]:
    """Adds an entry to its catalogue for the duration of a check, so that it can be looked up by its name.

    Args:
        catalogue: of the kind of entry.
        entry: that is checked.
        name: of the entry; an unused one if left out, so that nothing cached for another entry is found.
    """
    name = name or f"checked-{next(_TURNS)}"
    if name in catalogue:
        yield name
        return
    catalogue.add(name, entry)
    try:
        yield name
    finally:
        catalogue.remove(name)

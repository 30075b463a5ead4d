"""Every command that a message, a docstring, a page or the documentation names is one that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from spoken import commands_in, problem_of, texts_of

from dcdnas.core.catalogue import Catalogue
from dcdnas.data import sources as data_sources
from dcdnas.engine.executors import executors
from dcdnas.engine.samplers import samplers
from dcdnas.engine.trackers import trackers
from dcdnas.networks import networks
from dcdnas.operators import operators
from dcdnas.published._base import sources

PACKAGE = Path(__file__).parents[2] / "dcdnas"


def named() -> dict[str, list[str]]:
    """Command -> the files that name it."""
    found: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for text in texts_of(path):
            for command in commands_in(text):
                found.setdefault(command, []).append(path.name)
    for path in sorted(PACKAGE.rglob("*.html")):
        plain = re.sub(r"\{%.*?%\}", "", re.sub(r"\{\{.*?\}\}|<span data-number></span>", "X", path.read_text(encoding="utf-8")))
        for command in re.findall(r"(?<=>)(dcdnas [^<\n]+)", plain):
            found.setdefault(command, []).append(path.name)
    return found


def test_every_command_that_is_named_is_one() -> None:
    commands = named()
    assert len(commands) > 50
    assert {command: (problem, commands[command]) for command in commands if (problem := problem_of(command))} == {}


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("dcdnas list cost", "'cost' is not one of"), ("dcdnas serach", "no command"), ("dcdnas space chck X", "no command"),
        ("dcdnas show X --trail 3", "--trail"),
    ],
)  # fmt: skip
def test_a_command_that_is_none_is_noticed(command: str, said: str) -> None:
    assert said in problem_of(command)


@pytest.mark.parametrize("whole", [False, True])
def test_a_command_may_be_named_without_its_arguments_but_not_shown_so(whole: bool) -> None:
    assert bool(problem_of("dcdnas resume", whole)) == whole


@pytest.mark.parametrize("entries", [operators, networks, samplers, executors, trackers, data_sources, sources])
def test_who_asks_for_an_unknown_entry_is_sent_to_a_list_that_there_is(entries: Catalogue[object]) -> None:
    (command,) = commands_in(str(entries.unknown("nothing-like-it")))
    assert problem_of(command, whole=True) == ""


def test_an_unknown_metric_is_sent_to_a_list_that_there_is() -> None:
    from dcdnas.cost import metrics

    (command,) = commands_in(str(metrics.unknown("nothing-like-it")))
    assert command == "dcdnas list metrics"
    assert problem_of(command, whole=True) == ""

"""Shortcuts in reading rows of the memory: the same texts and values as the long way."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thoroughness import examples

from dcdnas.core.geometry import Cost, Setting
from dcdnas.core.trial import Trial
from dcdnas.engine import _rows as rows

TEXTS = st.one_of(st.text(), st.text(st.characters(codec="ascii")), st.text("'\"\\ {}:,a\n\x7f"))


@examples(200)
@given(st.lists(st.one_of(TEXTS, st.integers(), st.none()), min_size=2, max_size=4))
def test_the_text_of_a_row_is_its_repr(values: list[str | int | None]) -> None:
    assert rows._repr(values) == repr(tuple(values)).encode("utf-8", "surrogatepass")


@examples(200)
@given(st.one_of(TEXTS, st.dictionaries(TEXTS, st.floats()).map(json.dumps)), st.sampled_from(["", "1"]))
def test_a_value_is_read_as_json_reads_it(text: str, more: str) -> None:
    def said(read: Callable[[str], Any]) -> str:
        try:
            return repr(read(text.strip() + more))
        except ValueError:
            return "refused"

    assert said(rows._read) == said(json.loads)


OPTIONS = st.one_of(
    st.booleans(), st.integers(-3, 3), st.floats(-3, 3), st.sampled_from(["a", ", ", '"', '1, "b": 2', '": "', "{"])
)


@examples(200)
@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", 'c"', "d, e"]), OPTIONS), min_size=1, max_size=5))
def test_decisions_that_were_read_before_are_read_as_json_again(several: list[dict[str, Setting]]) -> None:
    for decisions in several * 2:
        found = rows._decisions(json.dumps(decisions))
        assert found == decisions
        assert list(map(type, found.values())) == list(map(type, decisions.values()))


@pytest.mark.parametrize("text", ['["a": 1}', '{"a": 1', '{"a": [1]}', '{"a": 1,"a": 1]', '{"a": null}', "[]", ""])
def test_what_is_no_object_of_options_is_damaged(text: str) -> None:
    rows._decisions('{"a": 1}')
    with pytest.raises((rows.DamagedRow, ValueError, AttributeError)):
        rows._decisions(text)


@pytest.mark.parametrize("column", [1, 2])
@pytest.mark.parametrize("value", [b"{}", 1, 0.5, None])
def test_a_network_that_is_no_text_is_damaged(column: int, value: object) -> None:
    trial = Trial(0, "finished", rows.UNREAD, {}, Cost({}))
    network = list(rows.network_row(trial)[:-1])
    network[column] = value
    with pytest.raises(rows.DamagedRow):
        rows.trial_of(rows.trial_row(trial), rows.sealed(network), ())


@pytest.mark.parametrize("decisions", ["", "{", '{"a": [1]}', "[]"])
def test_decisions_that_cannot_be_read_are_damage_as_soon_as_the_trial_is_read(decisions: str) -> None:
    trial = Trial(0, "finished", rows.UNREAD, {}, Cost({}))
    network = rows.network_row(trial)
    assert rows.trial_of(rows.trial_row(trial), network, ()).decisions == {}
    with pytest.raises((rows.DamagedRow, ValueError, AttributeError)):
        rows.trial_of(rows.trial_row(trial), rows.sealed((*network[:2], decisions)), ())

"""Shortcuts in reading rows of the memory: the same texts and values as the long way."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thoroughness import examples

from dcdnas.core.geometry import Setting
from dcdnas.engine import _rows as rows

TEXTS = st.one_of(st.text(), st.text(st.characters(codec="ascii")), st.text("'\"\\ {}:,a\n\x7f"))


@examples(200)
@given(st.lists(st.one_of(TEXTS, st.integers(), st.none()), min_size=2, max_size=4))
def test_the_text_of_a_row_is_its_repr(values: list[str | int | None]) -> None:
    assert rows._repr(values) == repr(tuple(values))


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


def test_decisions_are_read_when_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(rows, "_decisions", lambda text: read.append(text) or json.loads(text))
    decisions = rows.UnreadDecisions('{"a": 1, "b": true}')
    assert not read
    assert decisions == {"a": 1, "b": True}
    assert dict(decisions) == json.loads(repr(decisions).replace("'", '"').replace("True", "true"))
    assert len(decisions) == 2
    assert len(read) == 1

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thoroughness import examples

from dcdnas.core.yaml_lines import as_yaml, parse_yaml, read_yaml
from dcdnas.errors import FileError


def data(text: str) -> Any:
    return parse_yaml(text, "file.yaml").data


@pytest.mark.parametrize(
    ("written", "read"),
    [("1e-3", 0.001), ("1E5", 1e5), (".5", 0.5), ("1.", 1.0), ("-2.5e+3", -2500.0), ("7", 7), ("-7", -7), ("1_000", 1000)],
)
def test_numbers_are_numbers(written: str, read: float) -> None:
    found = data(f"a: {written}")["a"]
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "1:30", "017", "0x1F", "2020-01-01", "=", "1.2.3", "e5"])
def test_words_that_yaml_1_1_turns_into_something_else_stay_words(word: str) -> None:
    assert data(f"a: {word}") == {"a": word}


def test_only_true_and_false_are_booleans() -> None:
    assert data("a: true\nb: False") == {"a": True, "b": False}


def test_infinity_and_nan_are_floats() -> None:
    found = data("a: .inf\nb: -.inf\nc: .nan")
    assert found["a"] == math.inf
    assert found["b"] == -math.inf
    assert math.isnan(found["c"])


def test_an_empty_file_is_none() -> None:
    assert data("") is None


def test_a_key_given_twice_is_an_error_with_both_lines() -> None:
    with pytest.raises(FileError, match=r"file\.yaml:3: 'a' is given twice \(first on line 1\)"):
        data("a: 1\nb: 2\na: 3")


def test_all_keys_given_twice_are_told() -> None:
    with pytest.raises(FileError) as caught:
        data("a: 1\na: 2\nb: {c: 1, c: 2}")
    assert len(str(caught.value).splitlines()) == 2


def test_the_line_of_a_key_is_that_of_the_key() -> None:
    document = parse_yaml("a:\n  b:\n    - x\n    - y: 1\n", "f.yaml")
    assert document.where(("a", "b")) == "f.yaml:2: a.b"
    assert document.where(("a", "b", 1, "y")) == "f.yaml:4: a.b.1.y"


def test_an_unknown_key_has_the_line_of_the_nearest_above() -> None:
    assert parse_yaml("a:\n  b: 1\n", "f.yaml").where(("a", "z", "y")) == "f.yaml:1: a.z.y"


def test_a_document_without_keys_is_line_one() -> None:
    assert parse_yaml("", "f.yaml").where(()) == "f.yaml:1"


def test_merged_keys_are_read() -> None:
    assert data("base: &b {x: 1}\nother:\n  <<: *b\n  y: 2")["other"] == {"x": 1, "y": 2}


def test_aliases_that_multiply_are_refused_at_once() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    with pytest.raises(FileError, match="aliases"):
        data("\n".join(lines))


def test_an_alias_to_itself_is_refused() -> None:
    with pytest.raises(FileError):
        data("a: &x [*x]")


@pytest.mark.parametrize("text", ["a: !!binary aGk=", "a: !!set {x}", "!!python/object:os.system x", "a: !mine 1"])
def test_tags_of_other_types_are_refused(text: str) -> None:
    with pytest.raises(FileError, match="cannot stand here"):
        data(text)


@pytest.mark.parametrize(
    "text", ["a: [1,", "a: b: c", "\ta: 1", "a: 1\n---\nb: 2", "{[1]: 2}", "\0", "a: " + "1" * 5000, "[" * 5000]
)
def test_what_is_no_yaml_is_an_error_with_the_file_and_a_line(text: str) -> None:
    with pytest.raises(FileError, match=r"^file\.yaml:\d+: "):
        data(text)


def test_a_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"a: \xff\xfe\x00")
    with pytest.raises(FileError, match="cannot be read"):
        read_yaml(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        read_yaml(tmp_path / "none.yaml")


@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>#'\"?,%@ \n\t019.eE~<"), max_size=60))
def test_any_text_is_read_or_refused_with_a_file_error(text: str) -> None:
    message = "f:"
    try:
        parse_yaml(text, "f")
    except FileError as error:
        message = str(error)
    assert message.startswith("f:")


@pytest.mark.parametrize(
    "value", ["!!bool maybe", "!!bool yes", '!!int ""', '!!float ""', "!!int x", "!!int [1]", "!!bool {a: 1}"]
)
def test_a_tag_that_its_value_does_not_fit_is_said_with_the_line(value: str) -> None:
    with pytest.raises(FileError, match=r"^x\.yaml:2: .*(is no !!|expected a scalar)"):
        parse_yaml(f"a: 1\nb: {value}\n", "x.yaml")


def test_a_tag_that_fits_its_value_is_read() -> None:
    assert parse_yaml("a: !!float 1.5\nb: !!null\nc: !!str 3\n", "x.yaml").data == {"a": 1.5, "b": None, "c": "3"}


def test_what_is_read_twice_is_two_things() -> None:
    first, second = (parse_yaml("a: [1, {b: 2}]\n", "x.yaml") for _ in range(2))
    first.data["a"][1]["b"] = 3
    assert second.data == {"a": [1, {"b": 2}]}
    assert parse_yaml("a: [1, {b: 2}]\n", "x.yaml").data == second.data
    assert parse_yaml("a: [1, {b: 2}]\n", "y.yaml").path == "y.yaml"


SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=20)


@examples(30)
@given(
    st.recursive(SCALARS, lambda some: st.lists(some, max_size=3) | st.dictionaries(st.text(), some, max_size=3), max_leaves=8)
)
def test_what_is_written_reads_the_same(content: object) -> None:
    assert parse_yaml(as_yaml({"a": content}), "x.yaml").data == {"a": content}

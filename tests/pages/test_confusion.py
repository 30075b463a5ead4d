"""The picture of a confusion matrix is well-formed, says its numbers, and stays small with many classes."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from dcdnas.pages.confusion import confusion_svg

SVG = "{http://www.w3.org/2000/svg}"


def drawn(confusion: list[list[int]], names: list[str], title: str = "a <title> & more") -> ElementTree.Element:
    return ElementTree.fromstring(confusion_svg(confusion, names, title))


def test_each_pair_that_occurs_is_a_cell_that_says_its_numbers() -> None:
    root = drawn([[8, 2], [0, 5]], ["a & b", "<c>"])
    said = [t.text for rect in root.iter(f"{SVG}rect") for t in rect.iter(f"{SVG}title")]
    assert said == ["a & b: 8 of 10 right", "a & b taken for <c>: 2 of 10", "<c>: 5 of 5 right"]
    texts = [t.text for t in root.iter(f"{SVG}text")]
    assert texts[0] == "a <title> & more"
    assert {"8", "2", "5", "a & b", "<c>"} <= set(texts)


def test_the_darker_a_cell_the_larger_its_share() -> None:
    cells = [r for r in drawn([[9, 1], [5, 5]], ["a", "b"]).iter(f"{SVG}rect") if list(r)]
    assert int(cells[0].attrib["fill"][1:3], 16) < int(cells[3].attrib["fill"][1:3], 16)
    assert int(cells[1].attrib["fill"][3:5], 16) > int(cells[2].attrib["fill"][3:5], 16)


@pytest.mark.parametrize("classes", [40, 200])
def test_many_classes_fit_on_a_page_without_numbers(classes: int) -> None:
    matrix = [[int(i == j) for j in range(classes)] for i in range(classes)]
    root = drawn(matrix, [f"class {'x' * 60} {i}" for i in range(classes)])
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert max(width, height) < 1300
    assert not {"1"} & {t.text for t in root.iter(f"{SVG}text")}
    assert sum(t.text.endswith("…") for t in root.iter(f"{SVG}text")) == (2 * classes if classes < 120 else 0)


def test_a_class_without_images_is_an_empty_row() -> None:
    assert len([r for r in drawn([[0, 0], [1, 1]], ["a", "b"]).iter(f"{SVG}rect") if list(r)]) == 2

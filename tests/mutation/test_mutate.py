"""The mutation tool: which changes it makes, that each is one, and that a draw is a function of its seed."""

from __future__ import annotations

import ast
from pathlib import Path

import mutate
import pytest


@pytest.mark.parametrize(
    ("code", "changed"),
    [
        ("a < b", {"a <= b", "a >= b"}),
        ("a == b", {"a != b"}),
        ("a in b", {"a not in b"}),
        ("a + b", {"a - b"}),
        ("a // b", {"a * b"}),
        ("a and b", {"a or b"}),
        ("not a", {"a"}),
        ("f(3)", {"f(4)", "f(2)", "pass"}),
        ("f(True)", {"f(False)", "pass"}),
        ("a if b else c", {"a if not b else c"}),
        ("a.b = c", {"pass"}),
        ("a += b", {"pass"}),
        ("a: int | None = b", set()),
        ("f'{a + 1}'", set()),
        ("'text'", set()),
    ],
)
def test_a_place_is_changed_in_every_way_once(code: str, changed: set[str]) -> None:
    found = mutate.mutants("x.py", code)
    assert {mutate.mutated(code, m) for m in found} == changed
    assert len(found) == len(changed)


def test_conditions_and_what_is_returned_are_changed() -> None:
    code = "def f(a):\n    if a:\n        return a\n    return None"
    found = {mutate.mutated(code, m) for m in mutate.mutants("x.py", code)}
    assert found == {code.replace("if a", "if not a"), code.replace("return a", "return None")}


@pytest.mark.slow
def test_every_mutant_that_is_drawn_is_code_and_another_one() -> None:
    drawn = mutate.drawn(count=12)
    assert len(drawn) == 12
    assert drawn == mutate.drawn(count=12)
    assert drawn != mutate.drawn(count=12, seed=1)
    assert all(any((mutate.ROOT / m.file).match(pattern) for m, _ in drawn[:5]) for pattern in mutate.TARGETS)
    for mutant, _ in drawn:
        source = (mutate.ROOT / mutant.file).read_text()
        assert ast.dump(ast.parse(mutate.mutated(source, mutant))) != ast.dump(ast.parse(source))


def test_the_tests_that_name_the_module_run_first() -> None:
    for file, first in (
        ("dcdnas/cost/_price.py", "tests/cost/test_price.py"),
        ("dcdnas/cost/_kept.py", "tests/cost/test_kept.py"),
    ):
        ordered = mutate.nearest_first(mutate.ROOT, file, mutate.TARGETS["dcdnas/cost/*.py"]).split()
        assert ordered[0] == first
        assert len(ordered) == len(set(ordered)) == len(list((mutate.ROOT / "tests/cost").glob("test_*.py"))) + 1


def test_the_modules_and_their_tests_are_there() -> None:
    for pattern, tests in mutate.TARGETS.items():
        assert list(mutate.ROOT.glob(pattern))
        assert all((mutate.ROOT / test).exists() for test in tests.split())


@pytest.mark.slow
@pytest.mark.parametrize(("after", "status"), [("1", "survived"), ("2", "killed")])
def test_a_mutant_is_killed_by_the_test_that_notices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: str, status: str
) -> None:
    project = tmp_path / "project"
    for name in mutate.FOLDERS:
        (project / name).mkdir(parents=True)
    (project / "dcdnas" / "__init__.py").write_text("")
    (project / "pyproject.toml").write_text("")
    (project / "tests" / "test_one.py").write_text("from dcdnas.one import ONE\n\ndef test_one():\n    assert ONE < 2\n")
    monkeypatch.setattr(mutate, "ROOT", project)
    monkeypatch.setattr(mutate, "PRELOADED", [])
    source = "ONE = 0\n" if after == "1" else "ONE = 1\n"
    (project / "dcdnas" / "one.py").write_text(source)
    mutant = next(m for m in mutate.mutants("dcdnas/one.py", source) if m.after == after)
    found = mutate.Copies(tmp_path / "copies").tried(mutant, "tests/test_one.py")
    assert found["status"] == status
    assert found["by"] == ("tests/test_one.py::test_one" if status == "killed" else "")
    assert (project / "dcdnas" / "one.py").read_text() == source

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Run

from dcdnas.cli import _entries
from dcdnas.cli._entries import Entry
from dcdnas.core.cache import Records, code_digest
from dcdnas.core.dimension import dimensions
from dcdnas.cost import metrics
from dcdnas.data import sources as data_sources
from dcdnas.engine.executors import executors
from dcdnas.engine.planning.sampler import FROM
from dcdnas.engine.samplers import samplers
from dcdnas.engine.trackers import trackers
from dcdnas.networks import networks
from dcdnas.operators import operators
from dcdnas.published import sources
from dcdnas.space.library import shipped

KINDS = ("operators", "networks", "metrics", "samplers", "executors", "trackers", "spaces", "data", "presets", "recipes")


def names(run: Run, kind: str) -> list[str]:
    return [entry["name"] for entry in run("list", kind, "--json").json]


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        ("operators", operators),
        ("networks", networks),
        ("metrics", metrics),
        ("samplers", samplers),
        ("executors", executors),
        ("trackers", trackers),
    ],
)
def test_a_folders_entries_are_listed(run: Run, kind: str, known: dict[str, object]) -> None:
    assert names(run, kind) == list(known)


def test_spaces_are_listed(run: Run) -> None:
    assert names(run, "spaces") == sorted(shipped())


def test_an_abbreviation_ends_no_sentence(run: Run) -> None:
    about = {entry["name"]: entry["about"] for entry in run("list", "data", "--json").json}
    assert about["hf:NAME"].endswith("e.g. `hf:zh-plus/tiny-imagenet`")


def test_presets_are_listed_as_they_are_built(run: Run) -> None:
    assert sorted(names(run, "presets")) == sorted(f"{s}/{p}" for s in sources for p in sources[s].presets)


def test_the_settings_of_presets_are_those_that_they_are_built_with(run: Run) -> None:
    for entry in run("list", "presets", "--json").json:
        source, _, name = entry["name"].partition("/")
        made = inspect.signature(sources[source].presets[name].make).parameters.values()
        listed = {s["name"]: s["default"] for s in entry["settings"]}
        assert listed == {p.name: str(p.default) for p in made}
    said = " ".join(run("list", "presets").out.split())  # a narrow terminal breaks lines
    assert "width_mult=1.0," in said
    assert "fc_squeeze=8," in said


def test_data_sets_are_listed_as_they_are_written(run: Run) -> None:
    expected = []
    for name, source in data_sources.items():
        argument = source.ARGUMENT
        expected.append(name if not argument else f"{name}[:{argument[1:]}" if argument.startswith("[") else f"{name}:{argument}")
    assert names(run, "data") == expected


@pytest.mark.parametrize("kind", ["operators", "networks"])
def test_the_settings_are_those_of_the_constructor(run: Run, kind: str) -> None:
    catalogue = {"operators": operators, "networks": networks}[kind]
    entries = run("list", kind, "--json").json
    assert {entry["name"] for entry in entries} == set(catalogue)
    for entry in entries:
        known = dimensions(catalogue[entry["name"]])
        assert {s["name"]: s["allowed"] for s in entry["settings"]} == {n: d.allowed for n, d in known.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_every_entry_says_what_it_is(run: Run, kind: str) -> None:
    assert all(len(entry["about"]) > 10 for entry in run("list", kind, "--json").json)


def test_a_person_gets_a_table(run: Run) -> None:
    said = run("list", "operators")
    assert said.code == 0
    assert "num_blocks: a power of two, 1 or more (default 1)" in said.out


def test_an_unknown_kind_is_wrong_usage(run: Run) -> None:
    assert run("list", "operatos").code == 2


LISTING = f"""
import sys
from dcdnas.cli import main
for kind in {KINDS!r}:
    try: main(['list', kind, '--json'])
    except SystemExit: pass
print(*{{'torch', 'ray', 'fvcore', 'optuna', 'pandas'}} & set(sys.modules), file=sys.stderr)
"""


@pytest.mark.slow
def test_a_second_listing_says_the_same_and_imports_nothing_heavy(tmp_path: Path) -> None:
    first, second = (
        subprocess.run(
            [sys.executable, "-c", LISTING], capture_output=True, text=True, timeout=240, check=True,
            env={**os.environ, "DCDNAS_CACHE": str(tmp_path)},
        )
        for _ in range(2)
    )  # fmt: skip
    assert "torch" in first.stderr
    assert second.stderr.split() == []
    assert second.stdout == first.stdout


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The kinds that the code was asked for, in a cache and a package of this test alone."""
    kinds: list[str] = []
    monkeypatch.setenv("DCDNAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(_entries, "_PACKAGE", tmp_path / "dcdnas")
    for kind in KINDS:
        found = [Entry(f"one of {kind}", "about it", (("a", "true, false", "True"),))]
        monkeypatch.setitem(_entries._FINDERS, kind, lambda kind=kind, found=found: (kinds.append(kind), found)[1])  # type: ignore[misc]
    (tmp_path / "dcdnas" / "search_spaces").mkdir(parents=True)
    (tmp_path / "dcdnas" / "a.py").write_text("x = 1")
    return kinds


def test_the_code_is_asked_once_a_kind(asked: list[str]) -> None:
    first = [_entries.entries(kind) for kind in KINDS]
    assert [_entries.entries(kind) for kind in KINDS] == first
    assert asked == list(KINDS)


@pytest.mark.parametrize("name", ["a.py", "operators/new.py", "search_spaces/new.yaml"])
def test_changed_sources_are_asked_anew(asked: list[str], tmp_path: Path, name: str) -> None:
    _entries.entries("operators")
    path = tmp_path / "dcdnas" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("x = 2")
    _entries.entries("operators")
    assert asked == ["operators"] * 2


@pytest.mark.parametrize("kept", [None, 3, [], ["a"], [["a", "b"]], [["a", "b", [["c"]]]]])
def test_what_was_kept_and_cannot_be_read_is_asked_anew(asked: list[str], kept: object) -> None:
    Records(f"list-{code_digest(_entries._PACKAGE)}").append("operators", kept)
    assert [e.name for e in _entries.entries("operators")] == ["one of operators"]
    assert asked == ["operators"]


def test_where_nothing_can_be_kept_the_code_is_asked_each_time(asked: list[str], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in the folder's place")
    assert _entries.entries("data") == _entries.entries("data")
    assert asked == ["data"] * 2


def test_no_text_is_run_as_code_but_a_plugin_that_was_named_and_the_file_that_an_export_just_wrote() -> None:
    package = Path(_entries.__file__).parents[1]
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"\b(eval|exec)\(", path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("eval", "exec", "builtins.eval", "builtins.exec")
    }
    assert found == {"core/plugins.py", "export/standalone.py"}


def test_what_auto_chooses_is_said_below_the_samplers(run: Run) -> None:
    said = " ".join(run("list", "samplers").out.split())
    assert (
        f"By default, `--sampler auto` chooses among them: model for a search of {FROM} or more trainings with one objective"
        in said
    )
    assert "auto" not in run("list", "executors").out

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
from commands import Run

from dcdnas.core.dimension import dimensions
from dcdnas.cost import metrics
from dcdnas.data import sources as data_sources
from dcdnas.engine.executors import executors
from dcdnas.engine.samplers import samplers
from dcdnas.engine.trackers import trackers
from dcdnas.networks import networks
from dcdnas.operators import operators
from dcdnas.published import sources
from dcdnas.space.library import shipped

KINDS = ("operators", "networks", "metrics", "samplers", "executors", "trackers", "spaces", "data", "presets")


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
def test_settings_read_from_the_source_are_those_of_the_constructor(run: Run, kind: str) -> None:
    catalogue = {"operators": operators, "networks": networks}[kind]
    for entry in run("list", kind, "--json").json:
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


def test_listing_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom dcdnas.cli import main\n"
        f"for kind in {KINDS!r}:\n    try: main(['list', kind, '--json'])\n    except SystemExit: pass\n"
        "heavy = {'torch', 'ray', 'fvcore', 'optuna', 'pandas'} & set(sys.modules)\n"
        "print(heavy, file=sys.stderr)\nsys.exit(len(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr

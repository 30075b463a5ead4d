"""The fuzzer: what its corpus keeps is tried again, other files are tried, and it can find what is wrong."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import fuzz
import pytest
from fuzz import Known, Round, TooSlow, fault_of, look_again, recipes, smallest, table, tried
from fuzz_mutations import STEPS, Step, changed_bytes, changed_values
from fuzz_targets import TARGETS, Target
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from thoroughness import examples, slow_but

from dcdnas.errors import DcdnasError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow says what else is wrong with a picture

QUICK = ("budget", "driver", "notes", "recipe", "settings")
"""Readers that cost next to nothing."""


@pytest.mark.parametrize("name", slow_but(QUICK, TARGETS))
def test_what_the_fuzzer_kept_is_read_or_refused(tmp_path: Path, name: str) -> None:
    faults = {f"{seed} {steps}": tried(name, seed, steps, tmp_path)[0] for seed, steps in [(0, []), *recipes(name)]}
    assert {made: fault for made, fault in faults.items() if fault not in ("", "refused")} == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_files_that_are_nearly_fine_are_read_or_refused(tmp_path: Path, name: str) -> None:
    @examples(200, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 40), STEPS)
    def once(seed: int, steps: list[Step]) -> None:
        fault, said = tried(name, seed, steps, tmp_path)
        assert fault in ("", "refused"), said

    once()


@pytest.mark.parametrize("name", slow_but(QUICK, TARGETS))
def test_what_a_reader_begins_with_is_fine(tmp_path: Path, name: str) -> None:
    for seed in range(len(TARGETS[name].seeds()) or 1):
        assert tried(name, seed, [], tmp_path) == ("", "")


def reader(read: object) -> Target:
    return Target(lambda: [b'{"a": [1, 2]}'], read, "file", ())  # type: ignore[arg-type]


def test_the_fuzzer_tells_faults_from_refusals(tmp_path: Path) -> None:
    def refuses(path: Path) -> None:
        raise DcdnasError("no")

    def raises(path: Path) -> None:
        raise KeyError("a")

    path = reader(refuses).put(tmp_path, 0, [])
    assert fault_of(reader(refuses), path) == ("refused", "")
    assert fault_of(reader(raises), path)[0] == "KeyError in outside"
    assert fault_of(reader(lambda path: None), path) == ("", "")


def test_the_file_of_a_fault_is_made_small() -> None:
    assert smallest([(1, 2, 3), (4, 5, 6), (7, 8, 9)], lambda steps: (4, 5, 6) in steps) == [(4, 5, 6)]


def test_what_the_fuzzer_finds_is_kept_counted_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(path: Path) -> None:
        if b"1" not in path.read_bytes():
            raise KeyError("a")

    def found(read: object) -> Known:
        monkeypatch.setattr(fuzz, "STATE", tmp_path)
        monkeypatch.setattr(fuzz, "CORPUS", tmp_path)
        monkeypatch.setitem(
            TARGETS, "made-up", replace(reader(read), modules=("errors",), wanted=Known.of("made-up").tried + 300)
        )
        monkeypatch.setattr(fuzz, "_fine", lambda name, made: not fault_of(TARGETS[name], TARGETS[name].put(tmp_path, *made))[0])
        monkeypatch.setattr("resource.setrlimit", lambda *_: None)
        look_again("made-up")
        Round("made-up", time.monotonic() + 60).run()
        return Known.of("made-up")

    known = found(raises)
    assert (known.tried, list(known.faults)) == (300, ["KeyError in outside"])
    assert [len(steps) for _, steps in recipes("made-up")] == [1]
    assert list(found(raises).faults) == ["KeyError in outside"]
    known = found(lambda path: None)
    assert (known.tried, known.faults, known.mended) == (900, {}, ["KeyError in outside"])
    assert list(table(["made-up"]))[-1].startswith("| made-up | 900 | 0 | 1 | 0 |")


@pytest.mark.slow
def test_the_fuzzer_ends_a_reader_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(path: Path) -> None:
        while True:
            try:
                sum(range(1000))
            except Exception:
                continue

    monkeypatch.setattr("fuzz.SECONDS", 0.2)
    assert fault_of(reader(endless), tmp_path)[0].startswith(TooSlow.__name__)


@pytest.mark.parametrize("change", [changed_bytes, changed_values])
def test_changes_do_change_and_none_do_not(change: object) -> None:
    content = b'{"a": [1, {"b": "c"}], "d": null}'
    steps: list[Sequence[Step]] = [
        [(kind, where, value)] for kind in range(8) for where in (0, 40_000) for value in range(0, 60, 7)
    ]
    made = {change(content, some) for some in steps}  # type: ignore[operator]
    assert change(content, []).replace(b" ", b"") == content.replace(b" ", b"")  # type: ignore[operator]
    assert len(made) > 30

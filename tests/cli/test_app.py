"""Verbs are found because their file is there; help is instant; errors are words and exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from commands import Run

from dcdnas.cli._app import PANELS, verbs

HEAVY = ("torch", "ray", "fvcore", "optuna", "pandas", "matplotlib")


def loaded_by(code: str) -> set[str]:
    """The heavy packages that a new process has imported after running `code`."""
    ask = f"import sys\n{code}\nprint('LOADED', *[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, timeout=120, check=True)
    return set(done.stdout.rpartition("LOADED")[2].split())


def calling(*words: str) -> str:
    return f"from dcdnas.cli import main\ntry:\n    main({list(words)!r})\nexcept SystemExit as e:\n    assert not e.code, e.code"


def test_every_file_of_the_folder_is_a_verb() -> None:
    files = {p.stem for p in Path(sys.modules["dcdnas.cli"].__file__ or "").parent.glob("[a-z]*.py")}
    assert set(verbs()) == {f.rstrip("_").replace("_", "-") for f in files}


def test_help_lists_every_verb_under_a_panel(run: Run) -> None:
    said = run("--help")
    assert said.code == 0
    assert all(f" {verb} " in said.out for verb in verbs())
    assert any(panel in said.out for panel in PANELS)


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_every_verb_has_help_and_the_common_flags(run: Run, verb: str) -> None:
    said = run(verb, "-h")
    assert said.code == 0
    assert "--json" in said.out or "Commands" in said.out


def test_the_help_of_all_verbs_imports_nothing_heavy() -> None:
    calls = "\n".join(calling(verb, "--help") for verb in verbs())
    assert loaded_by(calls + "\n" + calling("--help")) == set()


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert loaded_by("import dcdnas; dir(dcdnas)") == set()


def test_looking_at_runs_needs_neither_torch_nor_ray(searched: Path) -> None:
    looks = "\n".join(
        calling(*words) for words in (("status",), ("status", "done"), ("trials", "done"), ("trials", "done", "--json"))
    )
    assert loaded_by(f"import os; os.chdir({str(searched)!r})\n{looks}") == set()


def test_the_version_is_printed(run: Run) -> None:
    assert run("--version").out.startswith("dcdnas 0.")


def test_an_unknown_verb_suggests_the_nearest(run: Run) -> None:
    said = run("serach")
    assert said.code == 2
    assert "Did you mean 'search'?" in said.err


def test_an_unknown_flag_suggests_the_nearest(run: Run) -> None:
    said = run("search", "--trails", "3")
    assert said.code == 2
    assert "--trials" in said.err


def test_an_error_is_a_line_on_stderr_without_a_traceback(run: Run, project: Path) -> None:
    said = run("status", "nothing")
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("Error: no run 'nothing' in runs. There are no runs yet")
    assert "Traceback" not in said.err


def test_verbose_adds_the_traceback(run: Run, project: Path) -> None:
    assert "Traceback" in run("status", "nothing", "-v").err


def test_no_colour_codes_go_to_a_file(run: Run, searched: Path) -> None:
    assert "\x1b" not in run("trials", "done", "--no-color").out

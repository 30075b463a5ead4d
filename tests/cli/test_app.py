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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("serach",), "Error: no such command 'serach'. Did you mean 'search'? `dcdnas -h` says what is allowed.\n"),
        (("show",), "Error: missing argument 'RUN|CONFIG'. `dcdnas show -h` says what is allowed.\n"),
        (("resume", "x", "--jobs"), "Error: option '--jobs' requires an argument. `dcdnas resume -h` says what is allowed.\n"),
        (
            ("search", "--name", "käse", "-b", "2MFLOPs", "--dry-run"),
            "Error: --name: name cannot be 'käse': should be letters A to Z, digits, '.', '_' and '-', beginning with a letter "
            "or a digit, like 'kase'.\n",
        ),
    ],
)  # fmt: skip
def test_all_errors_are_one_line_in_one_style(run: Run, project: Path, words: tuple[str, ...], said: str) -> None:
    found = run(*words)
    assert (found.code, found.out, found.err) == (2, "", said)


def test_a_command_without_words_prints_its_help(run: Run) -> None:
    said = run("space")
    assert "check" in said.out + said.err
    assert "Error" not in said.err


@pytest.mark.parametrize(
    "words",
    [
        ("search", "tiny.yaml", "-b", "0.3MFLOPs", "-n", "1", "--executor", "inline"), ("init", "runs/x"),
        ("report", "done", "--pdf-figures", "runs/x"), ("report", "done", "-o", "runs/x"),
        ("export", "done", "--to", "config", "-o", "runs/x"),
        ("train", "done", "-d", "npz:some.npz", "--epochs", "1", "-o", "runs/x"),
    ],
)  # fmt: skip
def test_a_folder_that_cannot_be_written_is_one_line(
    run: Run, searched: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    (searched / "runs").rename(searched / "elsewhere")
    (searched / "runs").write_text("a file where folders should be", encoding="utf-8")
    said = run(*(str(searched / "elsewhere" / "done") if word == "done" else word for word in words))
    *_, last = said.err.splitlines()
    assert said.code == 2
    assert last.startswith("Error: runs/")
    assert "cannot be written" in last
    assert "Give a folder that you may write to." in last
    assert "Traceback" not in said.err


def test_an_error_of_the_system_is_a_line_too(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(run: object, **how: object) -> None:
        raise OSError(28, "No space left on device", "runs/x")

    monkeypatch.setattr("dcdnas.results.load_run", full)
    said = run("status", "x")
    assert said.code == 1
    assert said.err == (
        "Error: runs/x: No space left on device. Is the disk full or read-only? --verbose says where it happened.\n"
    )

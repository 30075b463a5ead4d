"""What an extra installs is needed by what the extra is for, which says so before it begins; everything else works without."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from commands import SEARCH, Run
from contributing import ROOT

from dcdnas.cli._app import verbs
from dcdnas.core.extras import EXTRAS, need, there
from dcdnas.errors import MissingPackageError

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

SHORT = (*SEARCH, "-n", "1", "--confirm", "0", "--name", "own")

NEEDS = [
    ("dashboard", ("dashboard",)),
    ("dashboard", (*SHORT, "--dashboard")),
    ("dashboard", ("resume", "done", "-n", "+1", "--executor", "inline", "--dashboard")),
    ("trackers", (*SHORT, "--log", "tensorboard")),
    ("trackers", (*SHORT, "--log", "wandb")),
    ("trackers", (*SHORT, "--log", "mlflow")),
    ("figures", ("report", "done", "-o", "page.html", "--pdf-figures", "figures")),
    ("onnx", ("export", "done", "--to", "onnx", "-o", "out")),
    ("hub", ("data", "check", "hf:some/name")),
    ("hub", ("data", "check", "parquet:some.parquet")),
    ("gp", (*SHORT, "--sampler", "gp")),
    ("executorch", ("export", "done", "--to", "executorch", "-o", "out")),
]
"""Commands that need an extra."""


@pytest.mark.parametrize(
    ("extra", "words"), NEEDS, ids=lambda value: value if isinstance(value, str) else " ".join(value[:1] + value[-2:])
)
def test_what_needs_an_extra_says_which_before_it_begins(
    run: Run, searched: Path, monkeypatch: pytest.MonkeyPatch, extra: str, words: tuple[str, ...]
) -> None:
    for package in EXTRAS[extra]:
        monkeypatch.setitem(sys.modules, package, None)
    before = sorted(path for path in searched.rglob("*") if path.is_file())
    said = run(*words)
    assert said.code == 6, said.err
    assert f'pip install "dcdnas[{extra}]"' in " ".join(said.err.split())
    assert sorted(path for path in searched.rglob("*") if path.is_file()) == before, "nothing was begun"


def test_the_extras_are_those_that_the_package_declares() -> None:
    declared = PROJECT["optional-dependencies"]
    for extra, packages in EXTRAS.items():
        named = {text.split(">")[0].replace("-", "_") for text in declared[extra]}
        assert named == set(packages)
    assert set(declared) == {*EXTRAS, "all", "dev", "oracles"}
    assert declared["all"] == ["dcdnas[dashboard,trackers,figures,onnx,hub,gp]"]
    core = {text.split(">")[0].partition("[")[0] for text in PROJECT["dependencies"]}
    assert {"torch", "optuna", "ray", "fvcore", "pandas"} <= core
    assert not core & {package.replace("_", "-") for packages in EXTRAS.values() for package in packages}


def test_a_package_is_looked_for_and_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert not there("matplotlib")
    assert not there("nothing_of_this_name")
    need("figures", "This", "json")
    with pytest.raises(MissingPackageError, match="This needs the package 'nothing_of_this_name'"):
        need("figures", "This", "json", "nothing_of_this_name")


COMMANDS: dict[str, tuple[tuple[str, ...], int]] = {
    "search": (SHORT, 0),
    "status": (("status", "own"), 0),
    "trials": (("trials", "own"), 0),
    "show": (("show", "own"), 0),
    "export": (("export", "own", "--to", "config", "-o", "out"), 0),
    "report": (("report", "own", "-o", "page.html"), 0),
    "compare": (("compare", "own", "0", "0"), 0),
    "resume": (("resume", "own", "-n", "2", "--executor", "inline"), 0),
    "stop": (("stop", "own"), 0),
    "space": (("space", "check", "tiny.yaml"), 0),
    "cost": (("cost", "tiny.yaml"), 0),
    "list": (("list", "trackers"), 0),
    "data": (("data", "list"), 0),
    "schema": (("schema",), 0),
    "init": (("init", "new"), 0),
    "doctor": (("doctor",), 0),
    "train": (("train", "out/config.yaml", "-d", "npz:some.npz", "--epochs", "1", "-o", "trained"), 0),
    "evaluate": (("evaluate", "trained/seed-0", "-d", "npz:some.npz"), 0),
    "predict": (("predict", "trained/seed-0", "no.png"), 7),
    "dashboard": (("dashboard",), 6),
    "attention": (("attention", "-h"), 0),
    "ask-tell": (("ask-tell", "-h"), 0),
    "import": (("import", "-h"), 0),
    "latency": (("latency", "-h"), 0),
    "tune-forms": (("tune-forms", "-h"), 0),
    "clean": (("clean", "-h"), 0),
    "fidelity": (("fidelity", "-h"), 0),
    "reproduce": (("reproduce", "-h"), 0),
}
"""A command of each verb, and how it ends without any extra; in this order."""

PROCESS = """
import contextlib, io, json, sys

sys.modules.update(dict.fromkeys(json.loads(sys.argv[1])))  # None: as if it were not installed
from dcdnas.cli import main

found = {}
for words in [["--help"], *json.loads(sys.argv[2])]:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            main(words)
    except SystemExit as ended:
        found[words[0]] = ended.code or 0, said.getvalue()
    except BaseException as error:
        found[words[0]] = 99, repr(error)
print(json.dumps(found))
"""


@pytest.mark.slow
def test_every_verb_works_without_any_extra_or_says_which_it_needs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE")  # which tests turn off, and `doctor` does not like
    assert set(COMMANDS) == {name.replace("_", "-") for name in verbs()}
    blocked = [package for packages in EXTRAS.values() for package in packages]
    command = [sys.executable, "-c", PROCESS, json.dumps(blocked), json.dumps([words for words, _ in COMMANDS.values()])]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    wanted = {"--help": 0, **{verb: code for verb, (_, code) in COMMANDS.items()}}
    assert {verb: code for verb, (code, _) in found.items()} == wanted, found
    assert 'pip install "dcdnas[dashboard]"' in " ".join(found["dashboard"][1].split())

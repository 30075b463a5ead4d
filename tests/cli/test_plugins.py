"""An operator of one's own: named on the command line or in the space, searched, recorded, resumed, exported."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import plugged
import pytest
import yaml
from commands import SEARCH, SPACE, Run
from contributing import OPERATOR as GATE
from thoroughness import slow_but

from dcdnas.core import plugins
from dcdnas.core.plugins import load_plugin
from dcdnas.operators import operators

LOCAL = tuple("local" if word == "inline" else word for word in SEARCH)
RAY = tuple("ray" if word == "inline" else word for word in SEARCH)

Forget = Callable[[], None]


@pytest.fixture
def forget() -> Iterator[Forget]:
    """Unloads plugins, as a new process begins."""
    with plugged.forgotten():
        yield plugged.forget


@pytest.fixture
def gated(project: Path, forget: Forget) -> Path:
    """A project whose space has the operator of CONTRIBUTING.md as the only one of its slots, named nowhere."""
    (project / "gate.py").write_text(GATE, encoding="utf-8")
    space = SPACE.replace("    static:\n    odconv: {num_kernels: 1}\n", "    gate: {temperature: [1, 4]}\n")
    (project / "tiny.yaml").write_text(space, encoding="utf-8")
    return project


def flat(text: str) -> str:
    """What was said, without the terminal's line breaks."""
    return " ".join(text.split())


def name_in_space(project: Path) -> None:
    space = project / "tiny.yaml"
    space.write_text(f"{space.read_text(encoding='utf-8')}plugins: [gate.py]\n", encoding="utf-8")


def test_a_plugin_that_nobody_named_is_not_loaded(run: Run, gated: Path) -> None:
    said = run("space", "check", "tiny.yaml")
    assert said.code == 2
    assert "unknown operator 'gate'" in said.err
    assert "--plugin" in said.err
    assert not plugins._KNOWN


def test_a_plugin_works_wherever_a_space_is_read(run: Run, gated: Path) -> None:
    for words in (("space", "check", "tiny.yaml"), ("cost", "tiny.yaml"), ("space", "sample", "tiny.yaml")):
        assert run(*words, "--plugin", "gate.py").code == 0


def test_a_space_names_plugins_relative_to_its_file(
    run: Run, gated: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name_in_space(gated)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run("space", "check", str(gated / "tiny.yaml")).code == 0


def searched_and_resumed(run: Run, project: Path, forget: Forget, words: tuple[str, ...], formats: str) -> None:
    said = run(*words, "-n", "2", "--jobs", "1", "--confirm", "0", "--name", "own", "--plugin", "gate.py")
    assert said.code == 0, said.err
    folder = project / "runs" / "own"
    assert (folder / "plugins" / "gate.py").read_text(encoding="utf-8") == GATE
    recorded = yaml.safe_load((folder / "search.yaml").read_text(encoding="utf-8"))["plugins"]
    assert recorded["gate"] == {"kind": "operator", "path": str(project / "gate.py"), "sha256": load_plugin("gate.py").digest}
    assert {t["state"] for t in run("trials", "own", "--json").json} == {"finished"}

    forget()
    (project / "gate.py").unlink()  # the run has its own
    executor = words[words.index("--executor") + 1]
    said = run("resume", "own", "-n", "3", "--executor", executor, "--jobs", "1")
    assert said.code == 0, said.err
    assert len(run("trials", "own", "--json").json) == 3

    forget()
    assert run("export", "own", "--to", formats, "-o", "out").code == 0
    config = yaml.safe_load((project / "out" / "config.yaml").read_text(encoding="utf-8"))["dcdnas"]
    assert config["plugins"]["gate"] == {**recorded["gate"], "path": "gate.py"}

    forget()
    again = ("export", "out/config.yaml", "--to", formats, "-o", "again")
    said = run(*again)
    assert said.code == 2
    assert "unknown operator 'gate'" in said.err
    assert run(*again, "--plugin", "runs/own/plugins/gate.py").code == 0


@pytest.mark.slow
def test_a_search_in_worker_processes_is_resumed_and_exported_from_the_run_alone(run: Run, gated: Path, forget: Forget) -> None:
    searched_and_resumed(run, gated, forget, LOCAL, "config")


@pytest.mark.slow
def test_a_search_in_rays_workers_is_resumed_and_exported_from_the_run_alone(run: Run, gated: Path, forget: Forget) -> None:
    searched_and_resumed(run, gated, forget, RAY, "config,pt2")


@pytest.mark.slow
def test_a_changed_file_is_another_search_and_a_changed_copy_is_refused(run: Run, gated: Path, forget: Forget) -> None:
    name_in_space(gated)
    words = (*SEARCH, "-n", "1", "--confirm", "0", "--name", "own")
    assert run(*words).code == 0
    forget()
    (gated / "gate.py").write_text(f"{GATE}\n# changed\n", encoding="utf-8")
    said = run(*words)
    assert (said.code, "plugins.gate.sha256" in said.err) == (2, True)

    forget()
    (gated / "runs/own/plugins/gate.py").write_text(f"{GATE}\n# changed\n", encoding="utf-8")
    said = run("resume", "own", "-n", "2", "--executor", "inline")
    assert (said.code, "its content was changed" in flat(said.err)) == (2, True)
    assert not plugins._KNOWN

    (gated / "runs/own/plugins/gate.py").unlink()
    said = run("export", "own", "--to", "config", "-o", "out")
    assert (said.code, "The run was searched with it" in flat(said.err)) == (2, True)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("missing.py", None, "missing.py: cannot be read: No such file"),
        ("odconv.py", GATE, "'odconv' is an operator of dcdnas. Give the file another name"),
        ("my-op.py", GATE, "my-op.py: cannot be a plugin"),
        ("_gate.py", GATE, "_gate.py: cannot be a plugin"),
        ("gate.txt", GATE, "gate.txt: cannot be a plugin"),
        (
            "empty.py",
            "",
            f"empty.py: holds nothing to add to dcdnas. The first name of its __all__ has to be {plugins.KINDS}, but it",
        ),
        ("other.py", '__all__ = ["Gate"]\nclass Gate: pass\n', "other.py:2: holds nothing to add to dcdnas."),
        ("other.py", '__all__ = ["g"]\n\ng: int = 3\n', "other.py:3: holds nothing to add to dcdnas."),
        (
            "other.py",
            '__all__ = ["g"]\n\ng: int = 3\n',
            "a tracker or an executor, but g is an int object. docs/plugins.md shows",
        ),
        ("unnamed.py", '__all__ = ["h"]\n', "unnamed.py: AttributeError"),
        ("leaves.py", "x = 1\nraise SystemExit(0)\n", "leaves.py:2: SystemExit"),
        ("raises.py", "x = 1\n1 / 0\n", "raises.py:2: ZeroDivisionError"),
        ("wrong.py", "x = 1\n)\n", "wrong.py:2: SyntaxError"),
    ],
)
def test_what_is_wrong_with_a_plugin_is_said(
    run: Run, project: Path, forget: Forget, file: str, text: str | None, message: str
) -> None:
    if text is not None:
        (project / file).write_text(text, encoding="utf-8")
    said = run("space", "check", "tiny.yaml", "--plugin", file)
    assert said.code == 2
    assert message in flat(said.err)
    assert not plugins._KNOWN
    assert not [name for name in sys.modules if name.startswith("dcdnas_plugins.")]
    assert operators["odconv"].__name__ == "ODConv"


def test_a_problem_with_a_plugin_of_a_space_is_told_with_its_line(run: Run, gated: Path) -> None:
    name_in_space(gated)
    (gated / "gate.py").unlink()
    said = run("space", "check", "tiny.yaml")
    assert said.code == 2
    assert re.search(r"tiny.yaml:\d+: plugins.*gate.py: cannot be read", flat(said.err))


def test_two_contents_under_one_name_are_refused(project: Path, forget: Forget) -> None:
    (project / "gate.py").write_text(GATE, encoding="utf-8")
    load_plugin("gate.py")
    load_plugin("gate.py")
    (project / "gate.py").write_text(f"{GATE}\n", encoding="utf-8")
    with pytest.raises(Exception, match="another content"):
        load_plugin("gate.py")


@pytest.mark.parametrize(
    "recorded",
    slow_but(
        ["{../../gate: {kind: operator, path: gate.py, sha256: '00'}}"],
        [
            "5",
            "[gate]",
            "{gate: 5}",
            "{../../gate: {kind: operator, path: gate.py, sha256: '00'}}",
            "{gate: {path: gate.py, sha256: '00'}}",
            "{gate: {kind: operator, distribution: dcdnas-gate, version: 1.2}}",
        ],
    ),
)
def test_a_damaged_record_of_plugins_is_refused(run: Run, gated: Path, forget: Forget, recorded: str) -> None:
    name_in_space(gated)
    assert run(*SEARCH, "-n", "1", "--confirm", "0", "--name", "own").code == 0
    forget()
    file = gated / "runs" / "own" / "search.yaml"
    text = re.sub(r"(?m)^plugins:\n(  .*\n)+", f"plugins: {recorded}\n", file.read_text(encoding="utf-8"))
    file.write_text(text, encoding="utf-8")
    for words in (
        ("show", "own"),
        ("resume", "own", "-n", "2", "--executor", "inline"),
        ("export", "own", "--to", "config", "-o", "out"),
    ):
        said = run(*words)
        assert (said.code, "damaged" in flat(said.err)) == (2, True), said
    assert not plugins._KNOWN


def test_a_list_of_operators_has_the_one_that_is_named_and_only_then(run: Run, gated: Path, forget: Forget) -> None:
    shipped = [e["name"] for e in run("list", "operators", "--json").json]
    assert "gate" not in shipped
    found = {e["name"]: e for e in run("list", "operators", "--plugin", "gate.py", "--json").json}
    assert list(found) == sorted([*shipped, "gate"])
    assert found["gate"]["about"] == "A convolution whose outputs are gated by the mean of its input"
    assert [s["name"] for s in found["gate"]["settings"]] == ["temperature"]
    assert "gate" not in [e["name"] for e in run("list", "metrics", "--plugin", "gate.py", "--json").json]

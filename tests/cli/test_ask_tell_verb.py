"""`dcdnas ask-tell`: what docs/ask-tell.md shows is what is said, and no line that is sent ends the conversation."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from commands import Run, Said
from contributing import ROOT

from dcdnas.engine.ask_tell import Search
from dcdnas.results import load_run

PAGE = (ROOT / "docs" / "ask-tell.md").read_text(encoding="utf-8")
BEGIN = ("tiny.yaml", "-b", "0.3MFLOPs", "--name", "mine", "--objective", "auc:maximize:0.5:1", "--sampler", "random", "-n", "3")

Talk = Callable[..., Said]


@pytest.fixture
def talk(project: object, run: Run, monkeypatch: pytest.MonkeyPatch) -> Talk:
    """Sends lines to `dcdnas ask-tell`, in this process."""

    def conversation(*words: str, lines: str = "") -> Said:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(lines.encode("utf-8", "surrogateescape"))))
        return run("ask-tell", *words)

    return conversation


def asked(said: Said) -> dict[str, Any]:
    """The answer to the first ask."""
    return next(line for line in said.lines if line["answer"] == "ask")


@pytest.mark.slow
def test_the_page_shows_what_is_said(talk: Talk) -> None:
    (shown,) = re.findall(r"```\n(< .*?)```", PAGE, re.DOTALL)
    requests = [line[2:] for line in shown.splitlines() if line.startswith("> ")]
    answers = [line[2:] for line in shown.splitlines() if line.startswith("< ")]
    words = ("fashion-quick", "-b", "300kFLOPs", "--objective", "auc:maximize:0.5:1", "--name")
    network = json.dumps(asked(talk(*words, "before", lines=requests[0]))["architecture"])
    said = talk(*words, "lines", lines="\n".join(requests).replace("{...}", network))
    assert said.code == 0
    for real, written in zip(said.out.splitlines(), answers, strict=True):
        assert real.startswith(written.removesuffix("..."))
        assert real == written or written.endswith("...")


def test_the_example_in_python_finds_a_front(project: object, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "docs/ask-tell.md", "exec"), {})
    run = load_run("mine")
    assert run.ended == 6
    assert len(capsys.readouterr().out.splitlines()) == len(run.front())


def test_a_run_goes_on_by_its_name_and_reads_like_any_other(talk: Talk, run: Run) -> None:
    first = asked(talk(*BEGIN, lines='{"request": "ask"}\n'))
    told = json.dumps({"request": "tell", "network": first["network"], "values": {"auc": 0.7}})
    said = talk("--name", "mine", lines=f"{told}\n" + 3 * '{"request": "ask"}\n')
    assert said.lines[0]["outstanding"] == [first["network"]]
    assert said.lines[1]["state"] == "finished"
    assert said.lines[-2] == {
        "answer": "ask", "network": None, "over": False, "reason": "all remaining networks are handed out: tell one first"
    }  # fmt: skip
    assert len(said.lines[-1]["outstanding"]) == 2
    status = run("status", "mine")
    assert "Continue with: dcdnas ask-tell --name mine" in status.out
    assert "--confirm" not in status.out
    assert "from asking to telling" in status.out
    assert run("trials", "mine", "--json").code == 0
    refused = run("resume", "mine", "-n", "+5")
    assert refused.code == 2
    assert "mine: the networks of this run are trained by your own program" in refused.err
    assert "dcdnas ask-tell --name mine" in " ".join(refused.err.split())
    assert "RUN" not in refused.err
    assert load_run("mine").asked == 3, "what is refused changes nothing"
    trained, measured = (
        " ".join(run(*words).err.split()) for words in (("train", "mine", "-d", "npz:some.npz"), ("attention", "mine"))
    )
    assert "mine was trained by your own program, with ask-tell, and `dcdnas train` trains only" in trained
    assert "train them with that program." in trained
    assert "dcdnas cannot read the images of your own program, which trains with ask-tell." in measured


def test_a_run_of_which_all_was_told_is_over_from_the_first_answer(talk: Talk) -> None:
    words = (*BEGIN[:-1], "1")
    first = asked(talk(*words, lines='{"request": "ask"}\n'))
    tell = json.dumps({"request": "tell", "network": first["network"], "values": {"auc": 0.7}})
    ended = talk("--name", "mine", lines=tell + '\n{"request": "status"}\n')
    assert [line["over"] for line in ended.lines if "over" in line] == [False, True, True]
    again = talk("--name", "mine", lines='{"request": "status"}\n{"request": "ask"}\n')
    assert [line["over"] for line in again.lines] == [True] * 4


def test_stop_says_what_goes_on_with_it(project: object, run: Run) -> None:
    with Search("tiny.yaml", "0.3MFLOPs", name="mine", trials=3, sampler="random"):
        assert "Continue with: dcdnas ask-tell --name mine" in run("stop", "mine").out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "this line is not JSON"),
        ("\udcff\udcfe", "this line is not JSON"),
        ("[" * 100_000, "this line is not JSON"),
        pytest.param("[1]", "this line is not a JSON object", marks=pytest.mark.slow),
        pytest.param("{}", "unknown request None", marks=pytest.mark.slow),
        pytest.param('{"request": ["ask"]}', "unknown request", marks=pytest.mark.slow),
        ('{"request": "aks"}', "Did you mean 'ask'?"),
        ('{"request": "ask", "id": "\\ud83d", "count": 2}', "ask has no key 'count'"),
        ('{"request": "tell", "network": "\\ud83d", "values": {"auc": 1}}', "was not asked for"),
        pytest.param('{"request": "ask", "count": 2}', "ask has no key 'count'", marks=pytest.mark.slow),
        ('{"request": "tell"}', 'tell needs "network"'),
        ('{"request": "tell", "network": "00", "values": 3}', 'tell needs "values": {NAME: NUMBER}'),
        pytest.param(
            '{"request": "tell", "network": "00", "values": {"auc": 0.7}}', "network 00 was not asked for", marks=pytest.mark.slow
        ),
        ('{"request": "tell", "network": "00", "values": {"auc": Infinity}}', "Infinity is not a JSON number"),
        pytest.param('{"request": "price"}', "not a dcdnas model config", marks=pytest.mark.slow),
        ('{"request": "price", "architecture": 3}', "not a dcdnas model config"),
    ],
)
def test_a_line_that_cannot_be_used_is_answered_and_the_next_one_read(talk: Talk, line: str, words: str) -> None:
    said = talk(*BEGIN, lines=f'{line}\n\n{{"request": "status", "id": 7}}\n')
    assert said.code == 0
    _, error, status, end = said.lines
    assert (error["answer"], error["line"], error["fatal"]) == ("error", 1, False)
    assert words in error["error"]
    assert (status["answer"], status["id"], end["answer"]) == ("status", 7, "end")


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("--name", "nothing"), 2, "there is no run 'nothing'"),
        (("tiny.yaml", "-b", "1FLOPs"), 4, "no network of tiny meets"),
        (("tiny.yaml", "--objective", "auc"), 2, "--objective auc: cannot be read"),
        (("tiny.yaml", "--objective", "auc:up:0:1"), 2, "the direction cannot be 'up'"),
    ],
)
def test_a_search_that_cannot_begin_says_so_on_both_streams(
    talk: Talk, words: tuple[str, ...], code: int, complaint: str
) -> None:
    said = talk(*words)
    (error,) = said.lines
    assert said.code == code
    assert error["fatal"]
    assert complaint in error["error"]
    assert complaint in said.err

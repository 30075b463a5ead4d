"""What wins when a setting is given twice, and how wrong ones are complained about."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcdnas.engine.planning.settings import SearchSettings, seconds
from dcdnas.errors import FileError, UsageError


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_flags_win_over_set_over_the_file_over_the_project_over_defaults(project: Path) -> None:
    (project / "dcdnas.yaml").write_text("trials: 1\nseed: 1\nlr: 1\nconfirm: 1\n")
    (project / "more.yaml").write_text("seed: 2\nlr: 2\nconfirm: 2\n")
    found = SearchSettings.gather({"confirm": 4}, ["lr=3", "confirm=3"], "more.yaml")
    assert (found.sampler, found.trials, found.seed, found.lr, found.confirm) == ("auto", 1, 2, 3, 4)


def test_keys_are_the_flags_with_either_kind_of_dash(project: Path) -> None:
    (project / "dcdnas.yaml").write_text("gpus-per-trial: 0.5\ncpus_per_trial: 2\n")
    found = SearchSettings.gather({})
    assert (found.gpus_per_trial, found.cpus_per_trial) == (0.5, 2)


def test_one_budget_needs_no_list(project: Path) -> None:
    (project / "dcdnas.yaml").write_text("budget: 2MFLOPs\n")
    assert SearchSettings.gather({}).budget == ("2MFLOPs",)


def test_a_wrong_value_is_named_with_its_file_and_line(project: Path) -> None:
    (project / "dcdnas.yaml").write_text("seed: 1\nepochs: many\n")
    with pytest.raises(UsageError, match=r"dcdnas.yaml:2: epochs cannot be 'many': should be a valid integer"):
        SearchSettings.gather({})


def test_all_problems_are_said_together() -> None:
    with pytest.raises(UsageError) as error:
        SearchSettings.gather({"trials": 0}, ["warmup=2"])
    assert len(str(error.value).splitlines()) == 2
    assert "--trials" in str(error.value)
    assert "--set warmup=2" in str(error.value)


def test_an_unknown_key_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"--set lrr=1: unknown setting 'lrr'\. Did you mean 'lr'\?"):
        SearchSettings.gather({}, ["lrr=1"])


@pytest.mark.parametrize("text", ["lr", "=3", ""])
def test_an_assignment_needs_key_and_value(text: str) -> None:
    with pytest.raises(UsageError, match="KEY=VALUE"):
        SearchSettings.gather({}, [text])


def test_a_file_of_settings_is_a_mapping(project: Path) -> None:
    (project / "more.yaml").write_text("- trials\n")
    with pytest.raises(UsageError, match="holds no settings"):
        SearchSettings.gather({}, [], "more.yaml")


def test_a_missing_file_is_an_error() -> None:
    with pytest.raises(FileError, match=r"none\.yaml: cannot be read"):
        SearchSettings.gather({}, [], "none.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 90),
        ("45m", 2700),
        ("45min", 2700),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1d", 86400),
        ("1.5 h", 5400),
        (20, 20),
        ("20", 20),
    ],
)
def test_durations_are_read_as_people_write_them(text: str | float, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["soon", "", "-3", "0s", "2 fortnights", "inf", "nan"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="90s, 45m, 2h"):
        seconds(text)


@given(st.integers(0, 99), st.integers(0, 59), st.integers(1, 59))
def test_hours_minutes_and_seconds_add_up(h: int, m: int, s: int) -> None:
    assert seconds(f"{h}h{m}m{s}s") == 3600 * h + 60 * m + s

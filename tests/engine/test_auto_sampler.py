"""`--sampler auto`: the sampler that was measured to suit the search is the one that the run records."""

from __future__ import annotations

import pytest

from dcdnas.core.objective import Goals, Objective
from dcdnas.engine.planning.sampler import note_on, with_sampler
from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.errors import UnknownNameError
from dcdnas.tasks import ACCURACY

LOSS = Objective("loss", "minimize", 3.0, 0.0)


@pytest.mark.parametrize(
    ("trials", "objectives", "chosen"),
    [(23, (ACCURACY,), "tpe"), (24, (ACCURACY,), "model"), (20_000, (ACCURACY,), "model"), (50, (ACCURACY, LOSS), "tpe")],
)
def test_auto_is_the_model_where_that_was_measured(trials: int, objectives: tuple[Objective, ...], chosen: str) -> None:
    said = SearchSettings(sampler="auto", trials=trials)
    found = with_sampler(said, Goals(objectives))
    assert found == said.model_copy(update={"sampler": chosen})
    assert note_on(said, found).startswith(f"--sampler auto: {chosen}, since the search is {'not ' * (chosen == 'tpe')}one")
    assert "24 trainings or more with one objective" in note_on(said, found)


def test_it_is_what_a_search_has_of_which_nothing_was_said_and_nothing_is_said_of_it() -> None:
    said = SearchSettings(trials=24)
    found = with_sampler(said, Goals((ACCURACY,)))
    assert found.sampler == "model"
    assert note_on(said, found) == ""


def test_a_sampler_that_is_named_is_taken_and_nothing_is_said() -> None:
    said = SearchSettings(sampler="random", trials=50)
    assert with_sampler(said, Goals((ACCURACY,))) is said
    assert note_on(said, said) == ""
    with pytest.raises(UnknownNameError, match="auto2"):
        with_sampler(SearchSettings(sampler="auto2"), Goals((ACCURACY,)))

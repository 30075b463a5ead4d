"""Runs Ray Tune's OptunaSearch on two metrics, or on the error with ASHA, through Tune's searcher and scheduler interfaces.

The searcher has no constraints and would learn nothing from a failed trial, so refused networks are reported with the error of
the table's worst network.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace

import optuna
from optuna.distributions import CategoricalDistribution
from problem import Problem, contest
from ray.tune.schedulers import ASHAScheduler
from ray.tune.schedulers.trial_scheduler import TrialScheduler
from ray.tune.search.optuna import OptunaSearch


def search(problem: Problem) -> None:
    """Asks the searcher and reports results until the trials are used up."""
    searcher = OptunaSearch(
        space(problem),
        metric=["error", "cost"],
        mode=["min", "min"],
        points_to_evaluate=problem.starts or None,
        seed=problem.seed,
    )
    number = 0
    while not problem.over:
        number += 1
        choice = searcher.suggest(str(number))
        error, cost = problem.penalized(choice) or (problem.worst, problem.cost(choice))
        searcher.on_trial_complete(str(number), {"error": error, "cost": cost, "training_iteration": 1})


def search_with_asha(problem: Problem) -> None:
    """Searches by the error alone, with trainings that the scheduler stops."""
    searcher = OptunaSearch(space(problem), metric="error", mode="min", seed=problem.seed)
    scheduler = ASHAScheduler("training_iteration", "error", "min", max_t=problem.epochs)
    number = 0
    while not problem.over:
        number += 1
        trial, result = SimpleNamespace(trial_id=str(number)), {}
        scheduler.on_trial_add(None, trial)
        for epoch, (error, _) in enumerate(problem.train(searcher.suggest(trial.trial_id)), start=1):
            result = {"error": error, "training_iteration": epoch}
            searcher.on_trial_result(trial.trial_id, result)
            if scheduler.on_trial_result(None, trial, result) == TrialScheduler.STOP and epoch < problem.epochs:
                break
        scheduler.on_trial_remove(None, trial)
        searcher.on_trial_complete(trial.trial_id, result)


def space(problem: Problem) -> dict[str, CategoricalDistribution]:
    """The search space in the searcher's format."""
    return {name: CategoricalDistribution(options) for name, options in problem.options.items()}


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    contest(search_with_asha if sys.argv[1:] == ["asha"] else search)

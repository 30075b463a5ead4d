"""Runs Syne Tune's multi-objective evolution, or MOASHA, through its schedulers, which have no constraints."""

from __future__ import annotations

import logging
import sys
from datetime import datetime

import numpy as np
from problem import Problem, contest
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import choice
from syne_tune.optimizer.scheduler import SchedulerDecision
from syne_tune.optimizer.schedulers.ask_tell_scheduler import AskTellScheduler
from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA
from syne_tune.optimizer.schedulers.multiobjective.multi_objective_regularized_evolution import (
    MultiObjectiveRegularizedEvolution,
)
from syne_tune.optimizer.schedulers.single_fidelity_scheduler import SingleFidelityScheduler

POPULATION, SAMPLE = 20, 5


def search(problem: Problem) -> None:
    """Asks the scheduler and reports results until the trials are used up."""
    np.random.seed(problem.seed)  # numpy's global generator draws the first networks, whatever `random_seed` is
    space = space_of(problem)
    searcher = MultiObjectiveRegularizedEvolution(
        space, points_to_evaluate=problem.starts or None, population_size=POPULATION, sample_size=SAMPLE,
        random_seed=problem.seed,
    )  # fmt: skip
    scheduler = AskTellScheduler(SingleFidelityScheduler(space, ["error", "cost"], searcher=searcher, random_seed=problem.seed))
    while not problem.over:
        trial = scheduler.ask()
        answer = problem.penalized(trial.config)
        if answer is not None:
            scheduler.tell(trial, {"error": answer[0], "cost": answer[1]})


def search_with_moasha(problem: Problem) -> None:
    """Draws networks at random, and has the scheduler stop their trainings."""
    np.random.seed(problem.seed)  # numpy's global generator draws the networks, whatever `random_seed` is
    scheduler = MOASHA(space_of(problem), ["error", "cost"], max_t=problem.epochs, random_seed=problem.seed)
    while not problem.over:
        trial = Trial(problem.asked, scheduler.suggest().config, datetime.now())
        scheduler.on_trial_add(trial)
        for epoch, (error, cost) in enumerate(problem.train(trial.config), start=1):
            action = scheduler.on_trial_result(trial, {"error": error, "cost": cost, "training_iteration": epoch})
            if action == SchedulerDecision.STOP and epoch < problem.epochs:
                break
        scheduler.on_trial_remove(trial)


def space_of(problem: Problem) -> dict[str, object]:
    """The search space in the format of the searchers."""
    return {name: choice(options) for name, options in problem.options.items()}


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    contest(search_with_moasha if sys.argv[1:] == ["moasha"] else search)

"""Syne Tune's evolution for several objectives, through its scheduler to ask and tell; it knows no budgets."""

from __future__ import annotations

import logging

from problem import Problem
from syne_tune.config_space import choice
from syne_tune.optimizer.schedulers.ask_tell_scheduler import AskTellScheduler
from syne_tune.optimizer.schedulers.multiobjective.multi_objective_regularized_evolution import (
    MultiObjectiveRegularizedEvolution,
)
from syne_tune.optimizer.schedulers.single_fidelity_scheduler import SingleFidelityScheduler

POPULATION, SAMPLE = 20, 5


def main() -> None:
    """Asks and tells until the trials are used up."""
    logging.disable(logging.WARNING)
    problem = Problem()
    space = {name: choice(options) for name, options in problem.options.items()}
    searcher = MultiObjectiveRegularizedEvolution(
        space, points_to_evaluate=problem.starts or None, population_size=POPULATION, sample_size=SAMPLE,
        random_seed=problem.seed,
    )  # fmt: skip
    scheduler = AskTellScheduler(SingleFidelityScheduler(space, ["error", "cost"], searcher=searcher, random_seed=problem.seed))
    while not problem.over:
        trial = scheduler.ask()
        answer = problem.evaluate(trial.config)
        if answer is not None:
            scheduler.tell(trial, {"error": answer[0], "cost": answer[1]})
    problem.end()


if __name__ == "__main__":
    main()

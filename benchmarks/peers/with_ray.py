"""Ray Tune's OptunaSearch with two metrics, through the interface of Tune's searchers.

Tune's schedulers, ASHA among them, stop trainings by their readings on the way. A table has none, so there is nothing for them.
"""

from __future__ import annotations

import optuna
from problem import Problem
from ray import tune
from ray.tune.search.optuna import OptunaSearch

WORST = 1.0
"""Error of what was refused: the searcher knows no constraints, and would learn nothing of a failure."""


def main() -> None:
    """Asks and tells until the trials are used up."""
    problem = Problem()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    search = OptunaSearch(
        {name: tune.choice(options) for name, options in problem.options.items()}, metric=["error", "cost"], mode=["min", "min"],
        points_to_evaluate=problem.starts or None, seed=problem.seed,
    )  # fmt: skip
    number = 0
    while not problem.over:
        number += 1
        choice = search.suggest(str(number))
        error, cost = problem.evaluate(choice) or (WORST, problem.cost(choice))
        search.on_trial_complete(str(number), {"error": error, "cost": cost, "training_iteration": 1})
    problem.end()


if __name__ == "__main__":
    main()

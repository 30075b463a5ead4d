"""Optuna's samplers, as its pages on several objectives and on constraints say."""

from __future__ import annotations

import sys

import optuna
from optuna.samplers import GPSampler, NSGAIISampler, TPESampler
from optuna.trial import TrialState
from problem import Problem


def main(name: str) -> None:
    """Asks and tells until the trials are used up."""
    problem = Problem()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    made = {"tpe": TPESampler, "nsga2": NSGAIISampler, "gp": GPSampler}[name]
    settings = {"population_size": 20} if name == "nsga2" else {}
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=made(seed=problem.seed, **settings))
    for start in problem.starts:
        study.enqueue_trial(start)
    while not problem.over:
        trial = study.ask()
        choice = {name: trial.suggest_categorical(name, options) for name, options in problem.options.items()}
        if problem.budget:
            trial.set_constraint("budget", problem.excess(choice))
        answer = problem.evaluate(choice)
        if answer is None:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, answer)
    problem.end()


if __name__ == "__main__":
    main(sys.argv[1])

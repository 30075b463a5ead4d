"""Runs Optuna's samplers as its pages on several objectives and on constraints recommend; `-error` minimises only the error."""

from __future__ import annotations

import sys

import optuna
from optuna.samplers import GPSampler, NSGAIISampler, TPESampler
from optuna.trial import TrialState
from problem import Problem, contest


def main(name: str) -> None:
    """Runs the ask-and-tell loop of a sampler until the trials are used up."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    kind, _, alone = name.partition("-")
    made = {"tpe": TPESampler, "nsga2": NSGAIISampler, "gp": GPSampler}[kind]
    settings = {"population_size": 20} if kind == "nsga2" else {}

    def search(problem: Problem) -> None:
        directions = ["minimize"] if alone else ["minimize", "minimize"]
        study = optuna.create_study(directions=directions, sampler=made(seed=problem.seed, **settings))
        for start in problem.starts:
            study.enqueue_trial(start)
        while not problem.over:
            if drawn := problem.draw():
                study.enqueue_trial(drawn)
            trial = study.ask()
            choice = {name: trial.suggest_categorical(name, options) for name, options in problem.options.items()}
            if problem.budget:
                trial.set_constraint("budget", problem.excess(choice))
            answer = problem.evaluate(choice)
            if answer is None:
                study.tell(trial, state=TrialState.PRUNED)
            else:
                study.tell(trial, answer[: len(directions)])

    contest(search)


if __name__ == "__main__":
    main(sys.argv[1])

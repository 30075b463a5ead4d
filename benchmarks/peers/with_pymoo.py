"""Runs pymoo's NSGA-II over categorical choices, as its pages on mixed variables and on ask and tell recommend."""

from __future__ import annotations

import numpy as np
from problem import Problem, contest
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.evaluator import Evaluator
from pymoo.core.mixed import MixedVariableDuplicateElimination, MixedVariableMating, MixedVariableSampling
from pymoo.core.population import Population
from pymoo.core.problem import Problem as Choices
from pymoo.core.termination import NoTermination
from pymoo.core.variable import Choice
from pymoo.problems.static import StaticProblem

POPULATION = 20
FAR = 1e12
"""Objectives of refused networks, which their violated constraint already ranks below every network within the budget."""


def search(problem: Problem) -> None:
    """Runs the ask-and-tell loop generation by generation."""
    bounds = {"n_ieq_constr": 1} if problem.budget else {}
    choices = Choices(vars={name: Choice(options=options) for name, options in problem.options.items()}, n_obj=2, **bounds)
    same = MixedVariableDuplicateElimination()
    sampling = MixedVariableSampling()
    if problem.starts:
        drawn = sampling(choices, POPULATION - len(problem.starts), random_state=np.random.default_rng(problem.seed))
        sampling = Population.new(X=np.array([*problem.starts, *drawn.get("X")], dtype=object))
    algorithm = NSGA2(
        pop_size=POPULATION, n_offsprings=POPULATION // 2, sampling=sampling,
        mating=MixedVariableMating(eliminate_duplicates=same), eliminate_duplicates=same,
    )  # fmt: skip
    algorithm.setup(choices, termination=NoTermination(), seed=problem.seed, verbose=False)
    while not problem.over:
        asked = algorithm.ask()
        if asked is None or len(asked) == 0:
            break
        answers = [problem.evaluate(x) or (FAR, FAR) for x in asked.get("X")]
        found = {"F": np.array(answers)}
        if problem.budget:
            found["G"] = np.array([[problem.excess(x)] for x in asked.get("X")])
        Evaluator().eval(StaticProblem(choices, **found), asked)
        algorithm.tell(infills=asked)


if __name__ == "__main__":
    contest(search)

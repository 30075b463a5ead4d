"""`dcdnas fidelity`: measures whether a run's short trainings rank networks as longer ones do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dcdnas.cli._options import Cpus, Gpus, Run
from dcdnas.cli._output import Output

if TYPE_CHECKING:
    from dcdnas.cli._tables import Sheet
    from dcdnas.core.trial import EpochResult, Trial
    from dcdnas.engine.execution import Execution
    from dcdnas.engine.fidelity import Fidelity
    from dcdnas.engine.planning import Plan
    from dcdnas.results import Run as Found

__all__ = ["fidelity"]

PANEL = "Results"


def fidelity(
    out: Output,
    run: Run,
    networks: Annotated[
        int,
        typer.Option(
            "-n", "--networks", metavar="N", min=3, help="Number of networks, evenly spaced from the best to the worst."
        ),
    ] = 8,
    times: Annotated[
        int, typer.Option(metavar="N", min=2, help="Length of each training, as a multiple of the epochs of the search.")
    ] = 3,
    cpus_per_trial: Cpus = None,
    gpus_per_trial: Gpus = None,
) -> None:
    """Train some networks of a run longer, and measure how well the search ranked them (Kendall's tau).

    Each network is trained on another seed than in the search. The trainings are kept in the run's folder and not repeated.

    Example:  dcdnas fidelity quick -n 8 --times 3
    """
    from dcdnas.engine.planning import in_this_process
    from dcdnas.results import load_run

    how = in_this_process({"cpus_per_trial": cpus_per_trial, "gpus_per_trial": gpus_per_trial})
    check(out, load_run(run), how, networks, times)


def check_wanted(plan: Plan, networks: int | None) -> None:
    """Checks before a search that its networks are trained here, so that some can be trained longer at its end.

    Raises:
        UsageError: when they are not, with the reason; when they are too few; or when they are trained on the GPUs of other
            machines.
    """
    import torch

    from dcdnas.engine.fidelity import FEWEST
    from dcdnas.engine.reproduce import check_trained_here
    from dcdnas.errors import UsageError

    if not networks:
        return
    check_trained_here(plan.folder.name, plan.config.task)
    if plan.config.trials < FEWEST:
        raise UsageError(
            f"--fidelity-check {networks}: a search of -n {plan.config.trials} trains too few networks to rank. Allowed: "
            f"{FEWEST} or more."
        )
    if plan.execution.gpus_per_trial and not torch.cuda.is_available():
        raise UsageError(
            f"--fidelity-check {networks}: its trainings run in the process of this command, and torch finds no GPU on this "
            "machine. Leave it out, and run `dcdnas fidelity RUN --gpus-per-trial 0` after the search."
        )


def check(out: Output, run: Found, execution: Execution, networks: int, times: int = 3) -> None:
    """Trains networks of a run longer and prints how well both orders agree."""
    from dcdnas.core.units import counted
    from dcdnas.engine.fidelity import document, fidelity

    def told(trial: Trial, reached: EpochResult, epochs: int) -> None:
        said = run.objective.named(run.objective.of(reached))
        out.note(f"Trial {trial.number}, epoch {reached.epoch} of {epochs}: {said}")

    found = fidelity(run.folder, run.trials, execution, networks, times, told)
    low, high = found.interval
    out.line({"event": "fidelity", **document(found)})
    out.show(table_of(found))
    out.show(
        f"Kendall's tau {found.tau:.2f} (95 %: {low:.2f} to {high:.2f}) between {counted(found.epochs, 'epoch')} of the search "
        f"and {found.longer} on another seed, over {len(found.networks)} networks: 1 is the same order, 0 no more than chance."
    )
    if low <= 0:
        out.show(
            "With so few networks it is open whether the search ranks better than chance. Use more networks (-n), or search with "
            "more --epochs."
        )


def table_of(found: Fidelity) -> Sheet:
    """Makes a table of the networks in the order of the search, with their places after the longer trainings."""
    from dcdnas.cli._tables import table

    o = found.objective
    made = table(">Trial", ">In the search", f">After {found.longer} epochs", ">Place", ">Then")
    after = sorted(found.networks, key=lambda n: -o.gain(n.longer))
    for place, n in enumerate(found.networks, 1):
        made.add_row(str(n.trial), o.said(n.searched), o.said(n.longer), str(place), str(after.index(n) + 1))
    return made

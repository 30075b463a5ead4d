"""`dcdnas ask-tell`: a search for the user's own training loop, as JSON lines on stdin and stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcdnas.cli._options import Budgets, LatencyDevice, LatencyTable
from dcdnas.cli._output import Output, in_json
from dcdnas.cli.search import Name, Sampler, Space, StartFrom
from dcdnas.errors import DcdnasError, RunError, UsageError, nearest

if TYPE_CHECKING:
    from dcdnas.core.objective import Objective
    from dcdnas.core.trial import Trial
    from dcdnas.engine.ask_tell import Search

__all__ = ["ask_tell"]

PANEL = "Search"

Objectives = Annotated[
    list[str] | None,
    typer.Option(
        metavar="OBJECTIVE",
        help="Objective that you report, as NAME:DIRECTION:WORST:BEST[:UNIT], like auc:maximize:0.5:1; by default the accuracy; "
        "repeatable.",
    ),
]


def ask_tell(
    out: Output,
    space: Space = None,
    budget: Budgets = None,
    name: Name = None,
    objective: Objectives = None,
    trials: Annotated[
        int | None, typer.Option("-n", "--trials", metavar="N", help="Number of results to collect; by default 50.")
    ] = None,
    sampler: Sampler = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of the sampler; by default 0.")] = None,
    minimize: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Another cost to minimise; repeatable.")] = None,
    latency_table: LatencyTable = None,
    latency_device: LatencyDevice = None,
    start_from: StartFrom = None,
) -> None:
    """Hand out networks to a training loop of your own and collect their results, as JSON lines.

    Each line on stdin is a request (ask, price, tell or status), and each line on stdout is its answer; errors are answers, too.
    --name without a space continues that run. Networks that were handed out but have no result yet are handed out again.
    docs/ask-tell.md shows every request and its answer.

    Example:  echo '{"request": "ask"}' | dcdnas ask-tell fashion-quick -b 300kFLOPs --name mine
    """
    flags = {k: v for k, v in locals().items() if k not in ("out", "space", "budget", "objective") and v not in (None, [])}
    from dcdnas.cli._measuring import measuring
    from dcdnas.engine.ask_tell import Search
    from dcdnas.pages.run_files import write_results
    from dcdnas.results import load_run

    try:
        with measuring(out) as told:
            search = Search(space, budget or (), [objective_of(o) for o in objective or ()], told, **flags)
        with search:
            Conversation(search).hold(sys.stdin.buffer)
    except DcdnasError as error:
        answer({"answer": "error", "error": str(error), "fatal": True})
        raise
    run = load_run(search.folder)
    if run.ended:
        write_results(run)


def objective_of(text: str) -> Objective:
    """Parses the value of ``--objective``.

    Raises:
        UsageError: when it cannot be parsed.
    """
    from dcdnas.core.objective import Objective

    name, *rest = text.split(":")
    try:
        direction, worst, best, *unit = rest
        (of_unit,) = unit or ("",)
        scale = float(worst), float(best)
    except ValueError:
        raise UsageError(
            f"--objective {text}: cannot be read. Write NAME:DIRECTION:WORST:BEST, like auc:maximize:0.5:1 or "
            "rmse:minimize:2:0:px."
        ) from None
    return Objective(name, direction, *scale, unit=of_unit)  # type: ignore[arg-type]  # Objective checks the direction


class Conversation:
    """Answers requests, one after another.

    Args:
        search: search that hands out networks and takes their results.
    """

    def __init__(self, search: Search) -> None:
        self.search = search
        self.requests: Mapping[str, tuple[Callable[[Mapping[str, Any]], dict[str, Any]], tuple[str, ...]]] = {
            "ask": (self.ask, ()),
            "price": (self.price, ("architecture",)),
            "tell": (self.tell, ("network", "values", "failed")),
            "status": (self.status, ()),
        }

    def hold(self, lines: Iterator[bytes] | Any) -> None:
        """Answers requests until the lines end; an invalid request is answered with an error and changes nothing.

        Raises:
            DcdnasError: when nothing more can be written, because the disk is full or another process took over the run.
        """
        answer({"answer": "start", **self.begun(), **self.status({})})
        for number, line in enumerate(lines, 1):
            if line.strip():
                answer(self.answered(number, line))
        answer({"answer": "end", **self.status({})})

    def answered(self, number: int, line: bytes) -> dict[str, Any]:
        """Returns the answer to one line, with the ``id`` of its request."""
        known: dict[str, Any] = {}
        try:
            request = read_request(line)
            known = {"id": request["id"]} if "id" in request else {}
            return {"answer": request.get("request"), **known, **self.done(request)}
        except RunError:
            raise
        except UsageError as error:
            return {"answer": "error", **known, "line": number, "error": str(error), "fatal": False}

    def done(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Executes a request and returns its result."""
        name = request.get("request")
        if not isinstance(name, str) or name not in self.requests:
            raise UsageError(f"unknown request {name!r}. {nearest(str(name), self.requests)}")
        do, takes = self.requests[name]
        wrong = next((key for key in request if key not in ("request", "id", *takes)), None)
        if wrong is not None:
            raise UsageError(f"{name} has no key {wrong!r}. {nearest(wrong, ('id', *takes))}")
        return do(request)

    def begun(self) -> dict[str, Any]:
        """Describes the search: run, budgets, objectives and sampler."""
        config = self.search.config
        return {
            "run": self.search.folder.name, "folder": self.search.folder, "budgets": [str(b) for b in config.budgets],
            "objectives": [o.to_dict() for o in config.objectives], "minimize": config.minimize, "sampler": config.sampler,
        }  # fmt: skip

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the next network with its price, or a null network with the reason."""
        network = self.search.ask()
        if network is None:
            ending = self.search.ending
            why = (
                "all remaining networks are handed out: tell one first" if ending is None else ending.sentence or "all were told"
            )
            return {"network": None, "over": ending is not None, "reason": why}
        trial = self.search.trial(network.digest)
        return {
            "network": network.digest, "trial": trial.number, "cost": trial.cost.values, "origin": trial.origin,
            "seed": trial.seed, "architecture": network.to_dict(),
        }  # fmt: skip

    def price(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the cost of any network, also of one outside the space."""
        from dcdnas.core.architecture import Architecture

        return {"cost": self.search.price(Architecture.from_dict(request.get("architecture", {})))}

    def tell(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Takes a result, which is stored before the answer is sent."""
        network, values, failed = (request.get(key) for key in ("network", "values", "failed"))
        if not isinstance(network, str):
            raise UsageError('tell needs "network": the 16 hex digits from the answer to ask.')
        if not isinstance(values, dict | None) or not isinstance(failed, str | None):
            raise UsageError('tell needs "values": {NAME: NUMBER}, or "failed": "why".')
        trial = self.search.tell(network, values, failed or "")
        return {"network": network, "trial": trial.number, "state": trial.state, "on_front": trial in self.search.front}

    def status(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the progress of the search: results so far, outstanding networks and the front."""
        search, ending = self.search, self.search.ending
        return {
            "told": search.told, "trials": search.config.trials, "over": ending is not None,
            "outstanding": [network.digest for network in search.outstanding], "front": [shown(t) for t in search.front],
        }  # fmt: skip


def shown(trial: Trial) -> dict[str, Any]:
    """Returns a network of the front as plain data."""
    values = trial.score.values if trial.score else {}
    return {"network": trial.architecture.digest, "trial": trial.number, "values": values, "cost": trial.cost.values}


def read_request(line: bytes) -> Mapping[str, Any]:
    """Parses the JSON object of a line.

    Raises:
        UsageError: when the line is not one, or contains NaN or infinity, which JSON does not have.
    """
    try:
        request = json.loads(line.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise UsageError(f'this line is not JSON: {error}. Write one object per line, like {{"request": "ask"}}.') from None
    if not isinstance(request, dict):
        raise UsageError('this line is not a JSON object. Write one per line, like {"request": "ask"}.')
    return request


def _refuse(constant: str) -> Sequence[Any]:
    raise ValueError(f"{constant} is not a JSON number; tell a network without a finite value as failed")


def answer(value: Mapping[str, Any]) -> None:
    """Writes one answer as a line. Half a surrogate pair, which JSON texts may have, is written as the escape that it came as."""
    line = "".join(f"\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in in_json(value))
    sys.stdout.write(line + "\n")
    sys.stdout.flush()

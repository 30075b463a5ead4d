"""`dcdnas trials`: lists the trials of a run as a table."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcdnas.cli._options import Budgets, Run
from dcdnas.cli._output import Output

if TYPE_CHECKING:
    from dcdnas import results as report
    from dcdnas.core.trial import Trial

__all__ = ["trials"]

PANEL = "Results"


def trials(
    out: Output,
    run: Run,
    front: Annotated[bool, typer.Option("--front", help="Show only the Pareto front within the budget.")] = False,
    within_budget: Annotated[bool, typer.Option("--within-budget", help="Show only networks within the budget.")] = False,
    budget: Budgets = None,
    state: Annotated[
        list[str] | None, typer.Option(metavar="STATE", help="Show only trials in this state, like finished; repeatable.")
    ] = None,
    starred: Annotated[bool, typer.Option("--starred", help="Show only trials that were starred in the dashboard.")] = False,
    sort: Annotated[
        str,
        typer.Option(
            metavar="COLUMN",
            help="Column to sort by: number, flops, the objective's name, ...; -flops sorts in descending order.",
        ),
    ] = "number",
    limit: Annotated[int, typer.Option(metavar="N", min=0, help="Largest number of trials to show; 0 for all.")] = 0,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a column for each decision.")] = False,
) -> None:
    """List the trials of a run; those on the Pareto front are marked with a star.

    With --budget only trials within these bounds are listed, and the front is computed within them instead of the run's budget.

    Example:  dcdnas trials quick --front -b 1MFLOPs
    """
    from dcdnas.core.budget import within
    from dcdnas.results import Note, load_run, read_notes
    from dcdnas.results.verdict import Verdict

    out.check_csv(as_csv)
    found = load_run(run, curves=False)
    notes = read_notes(found.folder)
    budgets = found.read_budgets(budget) if budget else found.budgets
    on_front = {t.number for t in found.front(budgets)}
    chosen = [
        t for t in found.trials
        if (not front or t.number in on_front)
        and (not (within_budget or budget) or within(t.cost, budgets))
        and (not state or t.state in _states(state))
        and (not starred or notes.get(t.number, Note()).starred)
    ]  # fmt: skip
    rows = {r["number"]: {**r, "on_front": r["number"] in on_front} for r in found.rows}
    columns = list(next(iter(rows.values()), found.columns))
    chosen = _sorted(chosen, rows, columns, sort)
    shown = chosen[:limit] if limit else chosen
    if as_csv:
        _csv([rows[t.number] for t in shown], columns)
        return
    said = {t.number: notes.get(t.number, Note()) for t in shown}
    undecided = Verdict(found, found.front(budgets)).undecided
    out.document(
        [{**rows[n], "undecided": n in undecided, "starred": note.starred, "note": note.text} for n, note in said.items()]
    )
    _table(out, found, shown, len(chosen), on_front, said)


def _states(wanted: Sequence[str]) -> Sequence[str]:
    from typing import get_args

    from dcdnas.core.trial import State
    from dcdnas.errors import UnknownNameError

    for name in wanted:
        if name not in get_args(State):
            raise UnknownNameError("state", name, get_args(State))
    return wanted


def _sorted(trials: Sequence[Trial], rows: dict[int, dict[str, Any]], known: Sequence[str], column: str) -> list[Trial]:
    """Sorts trials by a column of the frame; those without a value stand at the end."""
    from dcdnas.errors import UnknownNameError

    name, down = column.removeprefix("-"), column.startswith("-")
    if name not in known:
        raise UnknownNameError("column", name, known)
    having = [t for t in trials if rows[t.number][name] is not None]
    without = [t for t in trials if rows[t.number][name] is None]
    try:
        ordered = sorted(having, key=lambda t: rows[t.number][name], reverse=down)
    except TypeError:
        ordered = sorted(having, key=lambda t: str(rows[t.number][name]), reverse=down)
    return ordered + without


def _csv(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    table = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)


def _table(
    out: Output, run: report.Run, shown: Sequence[Trial], total: int, on_front: set[int], notes: Mapping[int, report.Note]
) -> None:
    from dcdnas.cli._tables import trials_table

    if not run.trials:
        out.show(f"{run.name} has no trials yet.")
        return
    if not shown:
        out.show(f"None of the {len(run.trials)} trials of {run.name} matches the filters.")
        return
    out.show(
        trials_table(run, shown, on_front, notes={n: _noted(note) for n, note in notes.items() if note.starred or note.text})
    )
    hidden = f"; {total - len(shown)} not shown (--limit)" if total > len(shown) else ""
    out.show(f"{total} of {len(run.trials)} trials{hidden}. * on the Pareto front.")


def _noted(note: report.Note) -> str:
    return f"{'★ ' if note.starred else ''}{note.text}".strip()

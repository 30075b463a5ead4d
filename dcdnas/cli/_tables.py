"""Tables of trials, fronts, confirmed networks and latencies, and the table that fits the terminal's width."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.table import Table
from rich.text import Text

from dcdnas.cli._output import printable
from dcdnas.core.trial import Trial
from dcdnas.core.units import duration, metric_name, mix, quantity
from dcdnas.results import Confirmed, Run

GAP = 3
"""Characters between two columns of a table."""

READABLE, LONG = 16, 30
"""Width in characters below which a text column is not narrowed, and width from which a word may be broken."""


class Sheet:
    """A table whose numbers never wrap: on a narrow terminal columns are left out, and a line below the table names them.

    Args:
        columns: headings; those that begin with ``>`` belong to numbers and are right-aligned.
        title: title above the table.
        spare: headings of dispensable columns, in the order in which they are left out. After them the others are left out from
            the right, except for the first two.
    """

    def __init__(self, columns: Sequence[str], title: str = "", spare: Sequence[str] = ()) -> None:
        self.columns, self.title, self.caption = list(columns), printable(title), ""
        names = [c.lstrip(">") for c in columns]
        first = [names.index(name) for name in spare if name in names]
        self._order = [*first, *(i for i in reversed(range(2, len(columns))) if i not in first)]
        self._rows: list[tuple[Sequence[str | Text], bool]] = []
        self._sections: set[int] = set()

    def add_row(self, *cells: str | Text, bold: bool = False) -> None:
        """Adds a row with one cell per column."""
        self._rows.append(([printable(cell) for cell in cells], bold))

    def add_section(self) -> None:
        """Draws a line below the last row."""
        self._sections.add(len(self._rows) - 1)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        gone = 0
        while gone < len(self._order) and sum(self._least(i) + GAP for i in self._kept(gone)) > options.max_width:
            gone += 1
        kept = self._kept(gone)
        yield self._made(kept, options.max_width - sum(self._least(i) + GAP for i in kept))
        if gone:
            missing = ", ".join(self.columns[i].lstrip(">") for i in sorted(self._order[:gone]))
            yield Text(f"Left out for lack of space: {missing}. A wider terminal shows them.", style="dim")

    def _kept(self, gone: int) -> list[int]:
        """Indices of the columns that remain when the first `gone` columns of the order are left out."""
        return [i for i in range(len(self.columns)) if i not in self._order[:gone]]

    def _made(self, kept: Sequence[int], room: int) -> Table:
        """Makes the Rich table of the kept columns; `room` is the width beyond their smallest widths."""
        made = Table(
            box=box.SIMPLE_HEAD, title=self.title or None, title_justify="left", title_style="bold", pad_edge=False,
            padding=(0, 1), caption=self.caption or None, caption_justify="left",
        )  # fmt: skip
        for i in kept:
            least = self._least(i)
            more = max(0, min(room, self._whole(i) - least))
            room -= more
            justify: JustifyMethod = "right" if self.columns[i].startswith(">") else "left"
            made.add_column(self.columns[i].lstrip(">"), justify=justify, overflow="fold", width=least + more)
        for place, (cells, bold) in enumerate(self._rows):
            end = place in self._sections
            made.add_row(*(cells[i] for i in kept if i < len(cells)), style="bold" if bold else None, end_section=end)
        return made

    def _least(self, i: int) -> int:
        """Smallest width of a column: the whole cell for numbers; for texts the longest word, and `READABLE` for longer texts."""
        texts = [str(cells[i]) for cells, _ in self._rows if i < len(cells)]
        if self.columns[i].startswith(">") or i == 0:
            return max(_widest(texts), _longest([self.columns[i].lstrip(">")]))
        return max(min(_widest(texts), READABLE), min(_longest([*texts, self.columns[i]]), LONG))

    def _whole(self, i: int) -> int:
        """Width of a column in which no line wraps."""
        return max(_widest([str(cells[i]) for cells, _ in self._rows if i < len(cells)]), _widest([self.columns[i].lstrip(">")]))


def _widest(texts: Sequence[str]) -> int:
    return max((cell_len(line) for text in texts for line in text.splitlines()), default=0)


def _longest(texts: Sequence[str]) -> int:
    """Width of the longest word."""
    return max((cell_len(word) for text in texts for word in text.split()), default=0)


def table(*columns: str, title: str = "", spare: Sequence[str] = ()) -> Sheet:
    """Makes an empty table, see `Sheet`."""
    return Sheet(columns, title, spare)


def trials_table(
    run: Run, trials: Sequence[Trial], on_front: Collection[int] = (), notes: Mapping[int, str] | None = None
) -> Sheet:
    """Makes a table with one row per trial: objectives, costs, epochs, time, operators, state and reason, and notes if any."""
    metrics = list(trials[0].cost.values) if trials else []
    heads, cells = _readings(run, trials)
    spare = ("Epochs", "Time", *_spare(run, metrics), "Note", "Layers")
    long = [">Epochs"] if run.epochs else []
    made = table(
        ">Trial", *heads, *(f">{metric_name(m)}" for m in metrics), *long, ">Time", "Layers", "State",
        *(("Note",) if notes else ()), spare=spare,
    )  # fmt: skip
    for t in trials:
        score = t.score
        mark = "* " if t.number in on_front else ""
        made.add_row(
            f"{mark}{t.number}", *cells(t), *(quantity(m, t.cost[m]) for m in metrics),
            *([str(score.epochs) if score else ""] if long else []), duration(score.seconds) if score and score.seconds else "",
            mix(t.architecture), _state(t), *((Text(notes.get(t.number, "")),) if notes else ()),
        )  # fmt: skip
    return made


def front_table(run: Run, line: Sequence[Trial], undecided: Collection[int], title: str) -> Sheet:
    """Makes a table with one row per network of the front; a tilde marks those whose place in the order is within the noise."""
    metrics = list(line[0].cost.values) if line else []
    heads, cells = _readings(run, line)
    spare = (*_spare(run, metrics), "Layers")
    made = table("Trial", *heads, *(f">{metric_name(m)}" for m in metrics), "Layers", title=title, spare=spare)
    for t in line:
        mark = " ~" if t.number in undecided else ""
        made.add_row(f"{t.number}{mark}", *cells(t), *(quantity(m, t.cost[m]) for m in metrics), mix(t.architecture))
    return made


def _spare(run: Run, metrics: Sequence[str]) -> list[str]:
    """Headings of dispensable costs: first those that are not in the search's goals; never the cost it is judged by."""
    about = {*run.minimize, *(b.metric for b in run.budgets)}
    ordered = [m for m in metrics[::-1] if m not in about] + [m for m in metrics[::-1] if m in about]
    return [metric_name(metric) for metric in ordered if metric != run.cost_shown]


def _readings(run: Run, trials: Sequence[Trial]) -> tuple[list[str], Callable[[Trial], list[str]]]:
    """Headings of the objectives' columns, the primary one's with the kind of reading, and a function for a trial's cells."""
    again = {c.trial.number: run.objective.said(c.mean) for c in run.confirmed}
    beside, others = any(t.number in again for t in trials), run.goals.objectives[1:]

    def cells(trial: Trial) -> list[str]:
        fresh = [again.get(trial.number, "")] if beside else []
        return [run.said(trial), *fresh, *(o.said(o.of(trial.score)) for o in others)]

    return [
        f">{run.objective.heading}, one training",
        *([">Fresh seeds"] if beside else []),
        *(f">{o.heading}" for o in others),
    ], cells


def confirmed_table(run: Run, rows: Sequence[Confirmed]) -> Sheet:
    """Makes a table with one row per network trained again: mean and standard deviation over the seeds, costs and layers."""
    metrics = list(rows[0].trial.cost.values) if rows else []
    made = table(
        ">Trial", ">Mean", ">± std", ">Seeds", *(f">{metric_name(m)}" for m in metrics), "Layers",
        title="Trained again on fresh seeds", spare=("Layers",),
    )  # fmt: skip
    for c in rows:
        t, spread = c.trial, c.spread
        what = mix(t.architecture) + (" (static reference)" if t.origin == "static" else "")
        made.add_row(
            str(t.number), run.objective.said(c.mean),
            run.objective.amount(spread, sign=False) if spread is not None else "", str(len(c.values)),
            *(quantity(m, t.cost[m]) for m in metrics), what,
        )  # fmt: skip
    return made


def _state(trial: Trial) -> str:
    said = {"stopped": "stopped early"}.get(trial.state, trial.state)
    detail = trial.reason if trial.state != "stopped" else ""
    return f"{said}: {detail}" if detail else said


def latency_table(run: Run, trials: Sequence[Trial]) -> Sheet:
    """Makes a table of predicted and measured latencies of the networks that were measured whole."""
    made = table(">Trial", ">Predicted", ">Measured", ">Quartiles apart", ">Difference")
    for t in trials:
        if found := run.timed.get(t.deployed):
            difference = t.cost["latency"] / found["latency"] - 1
            cells = (quantity("latency", v) for v in (t.cost["latency"], found["latency"], found["iqr"]))
            made.add_row(str(t.number), *cells, f"{100 * difference:+.1f} %")
    return made

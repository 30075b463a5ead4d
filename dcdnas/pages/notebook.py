"""HTML of a run, a trial and a comparison for notebooks: the pages' drawings, with a style limited to these pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from dcdnas.core.files import write_whole
from dcdnas.core.trial import Trial
from dcdnas.errors import UsageError
from dcdnas.pages import context, payload
from dcdnas.pages.palette import COLOURS
from dcdnas.pages.render import HERE, text
from dcdnas.pages.snapshot import Still

if TYPE_CHECKING:
    from dcdnas.results.run import Run

MOST = 10
"""Most networks of the front that the HTML of a run lists."""


@dataclass(frozen=True)
class Shown:
    """A piece of HTML that a notebook displays.

    Args:
        said: one line that names the content; a terminal prints only this.
        html: the piece itself.
    """

    said: str
    html: str

    def __repr__(self) -> str:
        return f"<{self.said}; a notebook draws it, save('FILE.html') writes it>"

    def _repr_html_(self) -> str:
        return self.html

    def save(self, path: str | Path) -> Path:
        """Writes the piece as a separate HTML page.

        Raises:
            UsageError: when the file cannot be written.
        """
        head = '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        write_whole(Path(path), f"{head}<title>{Markup.escape(self.said)}</title>{self.html}")
        return Path(path)


def show_run(run: Run) -> Shown:
    """Returns the progress and the results of a run, to display in a notebook."""
    source = Still(run)
    said = {
        "facts": payload.facts(source),
        "objectives": payload.objectives(run),
        "undecided": payload.verdict_of(source).undecided,
        "line": source.front,
        "metrics": payload.metrics_of(run),
    }
    return Shown(f"run {run.name}", _piece("run", run=run, **said))


def show_trial(run: Run, trial: Trial) -> Shown:
    """Returns the numbers of a trial and its network layer by layer, to display in a notebook."""
    return Shown(f"trial {trial.number} of {run.name}", _piece("trial", **context.of_trial(Still(run), trial)))


def show_comparison(run: Run, trials: Sequence[Trial]) -> Shown:
    """Returns two to four trials side by side; a single trial is compared with the static network.

    Raises:
        UsageError: for more than four, and where there is nothing to compare with.
    """
    if len(trials) > context.AT_MOST:
        raise UsageError(f"cannot compare {len(trials)} trials. Give two to {context.AT_MOST}.")
    values = context.of_comparison(Still(run), trials)
    if len(values["trials"]) < 2:
        raise UsageError(f"{run.name} has no second trial to compare with. Give the numbers of two.")
    numbers = ", ".join(str(t.number) for t in values["trials"])
    return Shown(f"trials {numbers} of {run.name}", _piece("comparison", **values))


def _piece(what: str, **values: Any) -> str:
    style = Markup("".join((HERE / "static" / name).read_text(encoding="utf-8") for name in ("notebook.css", "network.css")))  # nosec B704
    colours = Markup(" ".join(f"--op{i}: {colour};" for i, colour in enumerate(COLOURS)))  # nosec B704
    return text("_notebook.html", what=what, style=colours + style, MOST=MOST, **values)

"""From a run's folder to a `Run`; nothing is changed, and what is damaged is said where it can be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dcdnas.core.budget import Budget
from dcdnas.core.files import read_text
from dcdnas.core.lock import live_driver
from dcdnas.core.trial import Trial
from dcdnas.core.units import Notations, register_read
from dcdnas.core.yaml_lines import BYTES, made, parse_yaml, read_yaml
from dcdnas.engine.folders import FILE, find_run
from dcdnas.engine.formats import check_search
from dcdnas.engine.store import CONFIRMING, Store
from dcdnas.errors import FileError, RunError, UsageError
from dcdnas.results.run import Run
from dcdnas.tasks import recorded

COUNTS = ("trials", "confirm", "confirm_top")
"""Whole numbers of a search."""

KINDS: Mapping[str, type] = {
    "task": dict, "space": dict, "minimize": list, "latency": dict, "plugins": dict, "versions": dict, "metrics": dict,
    "table": dict, "start_from": dict, "sampler": str, **dict.fromkeys(COUNTS, int),
}  # fmt: skip
"""What of a search has to be what, for those who show it."""


def load_run(run: str | Path, outline: bool = False, curves: bool = True) -> Run:
    """Reads a run from its folder, or by its name below the runs folder (``DCDNAS_RUNS``, default ``runs/``).

    Reading changes nothing and works while the run is being searched. A damaged ``search.yaml`` is a note in `Run.problems`, and
    so is each row of the memory that is not as it was written, which is then left out.

    Args:
        run: name or folder.
        outline: whether to leave out architectures, decisions and learning curves, for those who list many runs.
        curves: whether to read the learning curves, the larger part of a long run.

    Raises:
        RunError: when there is no such run, or its memory (``run.db``) cannot be read.
    """
    folder = find_run(run)
    problems: list[str] = []
    config = _config(folder / FILE, problems, outline)
    notations = _notations(config)
    store = Store(folder)
    try:
        facts = {key: _fact(store, key, problems) for key in ("created", "timed", "images")} | {"bounds": store.meta("bounds")}
        ending, reason = store.ending()
        read = store.outlines(problems) if outline else store.trials(curves=curves, problems=problems)
        trials = tuple(with_costs(read, config, store.path, problems))
        confirmations = tuple(store.confirmations(problems))
        weights, chosen = tuple(store.weights()), chosen_in(store, problems)
    finally:
        store.close()
    bounds = {name: (float(low), float(high)) for name, (low, high) in (facts["bounds"] or {}).items()}
    return Run(
        folder=folder, config=config, trials=trials, confirmations=confirmations, bounds=bounds,
        created=facts["created"] or 0.0, ending=ending, reason=reason, driver=live_driver(folder), problems=tuple(problems),
        notations=notations, timed=facts["timed"] or {}, format=store.format, images=facts["images"] or {},
        weights=weights, chosen=chosen,
    )  # fmt: skip


def with_costs(trials: Iterable[Trial], config: Mapping[str, Any], path: Path, problems: list[str]) -> Iterator[Trial]:
    """The trials whose costs have what the budgets are on, so that they can be weighed.

    Args:
        trials: of a run.
        config: its search.
        path: of its memory, for messages.
        problems: takes a sentence for each trial that is left out.
    """
    needed = {budget["metric"] for budget in config.get("budgets", ())}
    for trial in trials:
        if missing := needed - trial.cost.values.keys():
            problems.append(f"{path}: trial {trial.number}: its cost has no {min(missing)}. It is left out.")
        else:
            yield trial


def chosen_in(store: Store, problems: list[str]) -> tuple[int, ...]:
    """Numbers of the trials that a run confirms; none before they were chosen. A damaged fact is a note in `problems`."""
    return tuple((_fact(store, CONFIRMING, problems) or {}).get("chosen", ()))


def _fact(store: Store, key: str, problems: list[str]) -> Any:
    """A fact that a run can be shown without; None with a note when it is damaged."""
    try:
        return store.meta(key)
    except RunError as error:
        problems.append(f"{error} It is left out.")
        return None


def _notations(config: Mapping[str, Any]) -> Notations:
    """How the run's metrics are written: as the run recorded it, else, which takes importing torch, as they are now."""
    with suppress(KeyError, ValueError, TypeError, AttributeError):
        return register_read(config["metrics"])
    from dcdnas.cost import notations

    return notations()


def _config(path: Path, problems: list[str], outline: bool) -> Mapping[str, Any]:
    """What ``search.yaml`` says, as plain data (up to the space, for an outline); its plugins with a note when it is damaged.

    Raises:
        RunError: when it is of an unknown format.
    """
    data: Any = None
    try:
        top = read_text(path, BYTES).partition("\nspace:")[0] if outline else ""
        data = (parse_yaml(top, str(path)) if outline else read_yaml(path)).data
        check_search(path, data)
        _check(data)
        return dict(data)
    except FileError as error:
        problems.append(f"{error} Shown without its budgets.")
    except RunError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, UsageError) as error:
        problems.append(f"{path}: damaged: {type(error).__name__}: {error}. Shown without its budgets.")
        if isinstance(data, dict) and "plugins" in data:
            return {"plugins": data["plugins"]}  # whoever needs them checks them, or says that they are damaged
    return {}


def _check(data: Any) -> None:
    """Raises what reading the content of a ``search.yaml`` raises that is not what a search writes."""
    [made(Budget, b) for b in data["budgets"]]
    recorded(data)
    for name, kind in KINDS.items():
        if not isinstance(data.get(name, kind()), kind) or isinstance(data.get(name), bool):
            raise TypeError(f"{name} cannot be {str(data[name])[:60]!r}")
    numbers = [data.get(name, 0) for name in COUNTS] + [data.get("task", {}).get(name, 0) for name in ("epochs", "deployed_side")]
    if not all(type(n) is int and 0 <= n < 2**53 for n in numbers) or not all(isinstance(m, str) for m in data["minimize"]):
        raise ValueError(f"{', '.join(map(str, numbers))[:60]} cannot all stand where they stand")

"""Reads a `Run` from its folder; changes nothing, and reports damage instead of failing where it can."""

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
"""Settings of a search that are whole numbers."""

KINDS: Mapping[str, type] = {
    "task": dict, "space": dict, "minimize": list, "latency": dict, "plugins": dict, "versions": dict, "metrics": dict,
    "table": dict, "start_from": dict, "sampler": str, **dict.fromkeys(COUNTS, int),
}  # fmt: skip
"""Required type of each setting of a search, so that the code that shows it can rely on the types."""


def load_run(run: str | Path, outline: bool = False, curves: bool = True) -> Run:
    """Reads a run from its folder, or by its name below the runs folder (``DCDNAS_RUNS``, default ``runs/``).

    Reading changes nothing and works while the run is being searched. A damaged ``search.yaml`` is reported in `Run.problems`,
    and so is each damaged row of the database, which is then left out.

    Args:
        run: name or folder.
        outline: whether to leave out architectures, decisions and learning curves, for lists of many runs.
        curves: whether to read the learning curves, the larger part of a long run.

    Raises:
        RunError: when there is no such run, or its database (``run.db``) cannot be read.
    """
    folder = find_run(run)
    driver = live_driver(folder)  # read first: of a search that ends meanwhile, the rows read before would look interrupted
    problems: list[str] = []
    config = _config(folder / FILE, problems, outline)
    notations = _notations(config)
    store = Store(folder)
    try:
        facts = {key: fact(store, key, problems) for key in ("created", "timed", "images")} | {"bounds": store.meta("bounds")}
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
        created=facts["created"] or 0.0, ending=ending, reason=reason, driver=driver, problems=tuple(problems),
        notations=notations, timed=facts["timed"] or {}, format=store.format, images=facts["images"] or {},
        weights=weights, chosen=chosen,
    )  # fmt: skip


def with_costs(trials: Iterable[Trial], config: Mapping[str, Any], path: Path, problems: list[str]) -> Iterator[Trial]:
    """Yields the trials whose costs include the metrics of all budgets, so that they can be compared.

    Args:
        trials: of a run.
        config: content of the run's ``search.yaml``.
        path: of the run's database, for messages.
        problems: receives a sentence for each trial that is left out.
    """
    needed = {budget["metric"] for budget in config.get("budgets", ())}
    for trial in trials:
        if missing := needed - trial.cost.values.keys():
            problems.append(f"{path}: trial {trial.number}: its cost has no {min(missing)}. It is left out.")
        else:
            yield trial


def chosen_in(store: Store, problems: list[str]) -> tuple[int, ...]:
    """Returns the numbers of the trials chosen for confirmation; none before the choice. Damage is added to `problems`."""
    return tuple((fact(store, CONFIRMING, problems) or {}).get("chosen", ()))


def fact(store: Store, key: str, problems: list[str]) -> Any:
    """Reads a fact that a run can be shown without; if it is damaged, returns None and adds a sentence to `problems`."""
    try:
        return store.meta(key)
    except RunError as error:
        problems.append(f"{error} It is left out.")
        return None


def _notations(config: Mapping[str, Any]) -> Notations:
    """Returns the notations of the run's metrics as recorded in the run; else the current ones, which imports torch."""
    with suppress(KeyError, ValueError, TypeError, AttributeError):
        return register_read(config["metrics"])
    from dcdnas.cost import notations

    return notations()


def _config(path: Path, problems: list[str], outline: bool) -> Mapping[str, Any]:
    """Reads ``search.yaml`` as plain data (for an outline, only up to the space); if it is damaged, only its plugins.

    Raises:
        RunError: when its format is unknown.
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
            return {"plugins": data["plugins"]}  # the code that loads them checks them
    return {}


def _check(data: Any) -> None:
    """Raises an error of any type when the content of a ``search.yaml`` is not what a search writes."""
    [made(Budget, b) for b in data["budgets"]]
    recorded(data)
    for name, kind in KINDS.items():
        if not isinstance(data.get(name, kind()), kind) or isinstance(data.get(name), bool):
            raise TypeError(f"{name} cannot be {str(data[name])[:60]!r}")
    numbers = [data.get(name, 0) for name in COUNTS] + [data.get("task", {}).get(name, 0) for name in ("epochs", "deployed_side")]
    if not all(type(n) is int and 0 <= n < 2**53 for n in numbers) or not all(isinstance(m, str) for m in data["minimize"]):
        raise ValueError(f"{', '.join(map(str, numbers))[:60]} must be whole numbers from 0 to 2^53, and metrics must be names")

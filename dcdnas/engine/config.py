"""The frozen record of everything needed to repeat a search; a run stores it as ``search.yaml``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from dcdnas.core.budget import Budget
from dcdnas.core.files import is_file, write_whole
from dcdnas.core.objective import Goals, Objective
from dcdnas.core.task import EARLIER_TASK, TrainingTask
from dcdnas.core.yaml_lines import Document, as_yaml, made, read_yaml
from dcdnas.cost import ALWAYS, metrics, with_always
from dcdnas.engine.formats import EARLIER_SEARCH, FORMAT, begin_again, check_search, only_read
from dcdnas.engine.rules import differences, flat, other_kernels, other_rules, processor, rules, versions
from dcdnas.engine.weights import Keep
from dcdnas.errors import RunError, UsageError
from dcdnas.space.pricing.tree import Chances
from dcdnas.space.reading.reader import Compiler
from dcdnas.space.search_space import SearchSpace
from dcdnas.tasks import ACCURACY, recorded

WORDS = {
    "task.data": "images",
    "task.classes": "classes that the trainings use (0 for all)",
    "space.classes": "classes of the networks",
    "space.input": "channels, height and width of the networks' input",
}
"""Human-readable names of the keys that depend on the images, for messages about the differences of two searches."""


MOST_STARTS = 10
"""The most networks before the sampler takes over, where the user gives no number."""

NAMED = ("sampler", "seed", "starts", "chances", "early_stopping", "confirm", "confirm_top", "keep_weights")
"""Fields of `SearchConfig` that are written to the file unchanged."""


@dataclass(frozen=True)
class SearchConfig:
    """Defines a search; two searches with equal configs are the same search.

    Args:
        space: the content of the space file.
        budgets: bounds on the deployment cost.
        objectives: objectives of the task that are optimised; the first one is the primary objective.
        minimize: cost metrics that are minimised beside the objectives.
        trials: number of trainings to complete (finished or stopped early).
        task: the proxy training; its seed is not used.
        sampler: name in `dcdnas.engine.samplers`.
        seed: seed of the sampler, the random starts and all trials.
        starts: number of networks before the sampler takes over: the uniform static ladder, then random draws within the budget.
        chances: distribution of those draws: ``operators`` or ``networks``, see `dcdnas.space.pricing.cost.draws_within`.
        early_stopping: whether dominated trials are stopped at a rung.
        confirm: number of fresh seeds on which the networks believed best are trained again.
        confirm_top: number of networks to confirm, beside the static reference.
        keep_weights: which trainings' weights are kept in the run's folder: ``front``, ``all`` or ``none``.
        latency: device and correction of the latency table that prices are read from; empty where no latency is priced.
        plugins: the entries from outside the package that the search uses, as `dcdnas.core.plugins` records them: name to
            ``kind`` and ``path`` and ``sha256`` of a file, or ``distribution`` and ``version`` of an installed package.
        table: the benchmark table in which results are looked up: ``path``, ``sha256`` and a summary of its content; empty where
            networks are trained.
        start_from: an earlier ``run`` and the ``networks`` of its front, as decisions of the space, that are trained first.
        kernels: CPU kernels with which the run was begun; empty for a search that has not begun. Searches that differ only in
            them are the same search.
    """

    space: Mapping[str, Any]
    budgets: tuple[Budget, ...] = ()
    objectives: tuple[Objective, ...] = (ACCURACY,)
    minimize: tuple[str, ...] = ALWAYS[:1]
    trials: int = 50
    task: TrainingTask = field(default_factory=TrainingTask)
    sampler: str = "tpe"
    seed: int = 0
    starts: int = 10
    chances: Chances = "operators"
    early_stopping: bool = True
    confirm: int = 3
    confirm_top: int = 3
    keep_weights: Keep = "front"
    latency: Mapping[str, Any] = field(default_factory=dict)
    plugins: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    table: Mapping[str, Any] = field(default_factory=dict)
    start_from: Mapping[str, Any] = field(default_factory=dict)
    kernels: str = field(default="", compare=False)

    def build_space(self) -> SearchSpace:
        """Compiles the space from its content, with widths fitted to the budgets where the space asks for it."""
        return Compiler(Document("search.yaml: space", self.space, {})).space().filling(self.budgets)

    @property
    def goals(self) -> Goals:
        """The objectives and costs that the search optimises."""
        return Goals(self.objectives, self.minimize)

    @property
    def rules(self) -> dict[str, Any]:
        """The rules by which this version of dcdnas runs the search."""
        return rules(self.task, self.early_stopping, self.starts, self.chances, self.kernels)

    def to_dict(self) -> dict[str, Any]:
        """Converts the config to plain data for YAML."""
        return {
            "format": FORMAT,
            "trials": self.trials,
            "rules": self.rules,
            "budgets": [asdict(b) for b in self.budgets],
            "objectives": [o.to_dict() for o in self.objectives],
            "minimize": list(self.minimize),
            "task": asdict(self.task),
            **{n: getattr(self, n) for n in NAMED},
            **({"latency": dict(self.latency)} if self.latency else {}),
            **({"plugins": {name: dict(record) for name, record in self.plugins.items()}} if self.plugins else {}),
            **({"table": dict(self.table)} if self.table else {}),
            "space": dict(self.space),
            **({"start_from": dict(self.start_from)} if self.start_from else {}),
        }

    @staticmethod
    def read(path: Path) -> SearchConfig:
        """Reads ``search.yaml`` in order to inspect the run.

        Raises:
            RunError: when the file is missing, damaged or of an unknown format.
            FileError: when it is not YAML.
        """
        return _of_data(path, _data(path))

    @staticmethod
    def to_go_on(path: Path) -> SearchConfig:
        """Reads ``search.yaml`` in order to continue the run.

        Raises:
            RunError: as for `read`, and when the file has an earlier format or other rules than those of this version.
            FileError: when it is not YAML.
        """
        data = _data(path)
        if data["format"] == EARLIER_SEARCH:
            raise RunError(only_read(path.parent))
        config = _of_data(path, data)
        other = other_rules(data.get("rules") or {}, config.rules)
        if other:
            raise RunError(
                f"{path.parent.name} was searched under other rules than this version of dcdnas has:\n  "
                + "\n  ".join(other) + f"\nIts trials and new ones could not be compared. {begin_again(path.parent)}"
            )  # fmt: skip
        return config

    @property
    def other_kernels(self) -> str:
        """Note, of one or two sentences, for a run that continues with other CPU kernels than it began with; else empty."""
        return other_kernels(self.kernels)

    def write(self, path: Path) -> None:
        """Writes ``search.yaml``, with the notations of its metrics and the package versions and processor of this machine.

        A file that is written again keeps the versions and the processor with which its run was begun.
        """
        plain = self.to_dict()
        priced = {
            name: metrics[name].notation.to_dict() for name in with_always([*(b.metric for b in self.budgets), *self.minimize])
        }
        long: dict[str, Any] = {
            name: plain.pop(name) for name in ("space", "start_from") if name in plain
        }  # written last, because listing runs reads the file only up to these long keys
        content: dict[str, Any] = {**plain, "metrics": priced, **long, **_begun_with(path)}
        write_whole(path, "".join(_dumped(key, value) for key, value in content.items()))

    def differences(self, other: SearchConfig) -> list[str]:
        """Lists the differences that make two searches distinct, one line each: ``epochs: 3 there, 9 here``.

        The number of trials, the weights that are kept and the paths of files are not compared. Settings that follow from other
        differing ones are left out, and a number of starts that follows from the number of trials says so.
        """
        there, here = self._compared(), other._compared()
        distinct = {k for k in {**there, **here} if there.get(k) != here.get(k)}
        kept = distinct - _following(distinct, self, other)
        lines = differences(*({_word(k): _in_words(k, v) for k, v in one.items() if k in kept} for one in (there, here)))
        if "starts" in kept and all(c.starts == usual_starts(c.trials) for c in (self, other)):
            follows = f" (it follows from the number of trainings: {self.trials} there, {other.trials} here)"
            lines = [line + follows if line.startswith("starts: ") else line for line in lines]
        return lines

    def _compared(self) -> dict[str, Any]:
        """The flattened keys that are equal in equal searches."""
        plain = {k: v for k, v in self.to_dict().items() if k not in ("trials", "rules", "keep_weights")}
        compared = flat({**plain, "budgets": [str(b) for b in self.budgets]})
        return {k: v for k, v in compared.items() if not (k.startswith(("plugins.", "table.")) and k.endswith(".path"))}


def usual_starts(trials: int) -> int:
    """Number of networks before the sampler takes over, where the user gives none: 10, and at most a third of the trainings."""
    return min(MOST_STARTS, trials // 3)


def _following(distinct: Collection[str], *configs: SearchConfig) -> set[str]:
    """The keys among differing ones that follow from others among them, so that naming those is enough."""
    found = set()
    if {"task.epochs", "early_stopping"} & set(distinct):
        found.add("task.scan")
    if {"space.input", "space.resolution"} & set(distinct):
        found.add("task.deployed_side")
    if {"task.data", "space.input"} & set(distinct) and all(_as_the_input(c) for c in configs):
        found.add("task.resolution")
    return found


def _as_the_input(config: SearchConfig) -> bool:
    """Whether the images have their own size or that of the networks' input, as where the user gives no resolution."""
    return config.task.resolution in (0, *list(config.space.get("input", ()))[1:2])


def _word(key: str) -> str:
    return WORDS.get(key, key)


def _in_words(key: str, value: Any) -> Any:
    """The value of a key for a message; a resolution of 0 is described, which means that the images keep their own."""
    return "the images' own" if key == "task.resolution" and value == 0 else value


def _dumped(key: str, value: Any) -> str:
    """Dumps one key of the file; the metrics' notations are written compactly."""
    return as_yaml({key: value}, default_flow_style=None if key == "metrics" else False)


def _data(path: Path) -> dict[str, Any]:
    if not is_file(path):
        raise RunError(f"{path.parent} is no run: it has no search.yaml. `dcdnas status` lists the runs.")
    data = read_yaml(path).data
    check_search(path, data)
    if not isinstance(data, dict) or "format" not in data:
        raise RunError(f"{path}: damaged: it has no key `format`.")
    return data


def _begun_with(path: Path) -> dict[str, Any]:
    """The versions and the processor with which a run was begun: those in its file, or those of this machine for a new run."""
    if not is_file(path):
        return {"versions": versions(), "processor": processor()}
    before = _data(path)
    return {key: before[key] for key in ("versions", "processor") if key in before}


def _of_data(path: Path, data: dict[str, Any]) -> SearchConfig:
    try:
        known = {f.name: data[f.name] for f in fields(SearchConfig) if f.name in data}
        known["budgets"] = tuple(made(Budget, b) for b in data["budgets"])
        known["objectives"] = recorded(data)
        known["minimize"] = tuple(data["minimize"])
        known["plugins"] = {str(name): dict(record) for name, record in data.get("plugins", {}).items()}
        known["latency"] = dict(data.get("latency", {}))
        known["table"] = dict(data.get("table", {}))
        known["start_from"] = dict(data.get("start_from", {}))
        known["task"] = made(TrainingTask, {**EARLIER_TASK, **data["task"]})
        known["kernels"] = str((data.get("rules") or {}).get("kernels", ""))
        return SearchConfig(**known)
    except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise RunError(f"{path}: damaged: {type(error).__name__}: {error}.") from None

"""Trials, reports and confirmations as rows of the run's memory and back; every row ends with a digest of itself."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, get_args

from dcdnas.core.architecture import Architecture
from dcdnas.core.geometry import Cost, Setting
from dcdnas.core.trial import EpochResult, FailureKind, Score, State, Trial
from dcdnas.engine._facts import is_count, is_number, is_time

Row = Sequence[Any]

LOSS = "loss"
"""The objective that has a column of its own."""

UNREAD = Architecture("unread", {}, {}, (1, 1, 1), 1)
"""What an outline has for an architecture."""


class DamagedRow(ValueError):
    """A row that is not as it was written."""


@dataclass(frozen=True)
class Confirmation:
    """A network of the front trained again on a fresh seed.

    Args:
        number: the trial that is confirmed.
        seed: the fresh seed.
        state: finished or failed.
        score: None when it failed.
        reason: why it failed, for people.
        failure: what kind of failure it was.
    """

    number: int
    seed: int
    state: str
    score: Score | None
    reason: str = ""
    failure: FailureKind | None = None


@dataclass(frozen=True)
class Weights:
    """A file with the weights of one training.

    Args:
        number: of the trial.
        seed: of the training: the trial's own, or that of a confirming one.
        file: its name in the run's folder ``weights``.
        sha256: of its content.
        state: ``kept``, or ``dropped`` when the network left the front.
    """

    number: int
    seed: int
    file: str
    sha256: str
    state: str = "kept"

    @property
    def kept(self) -> bool:
        """Whether the file is there, as far as the run knows."""
        return self.state == "kept"

    def dropped(self) -> Weights:
        """The same when its file is removed."""
        return replace(self, state="dropped")


def sealed(values: Row) -> tuple[Any, ...]:
    """A row with its digest."""
    return (*values, _digest(values))


def opened(row: Row, written: Callable[[Row], bytes] | None = None) -> Row:
    """A row without its digest.

    Args:
        row: a tuple.
        written: what makes the bytes of its `repr` in a way of its own.

    Raises:
        DamagedRow: when the digest is of other values. A row of format 1 has none, and is taken as it is.
    """
    values, digest = row[:-1], row[-1]
    if digest is not None and digest != _digest(values, written):
        raise DamagedRow("the row is not as it was written")
    return values


def _digest(values: Row, written: Callable[[Row], bytes] | None = None) -> str:
    return blake2b(written(values) if written else _encoded(repr(tuple(values))), digest_size=8).hexdigest()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


_PLAIN = bytes(set(range(0x20, 0x7F)) - set(b"'\\"))
"""What `repr` leaves as it is."""


def _repr(values: Row) -> bytes:
    """The `repr` of a tuple of several values, encoded; sooner where they are long plain text, as the JSON of networks is."""
    parts = []
    for value in values:
        text = _encoded(value) if isinstance(value, str) else None
        parts.append(_encoded(repr(value)) if text is None or text.translate(None, _PLAIN) else b"'%b'" % text)
    return b"(%b)" % b", ".join(parts)


def trial_row(t: Trial) -> tuple[Any, ...]:
    """A trial without its network."""
    trained_cost = _plain(t.trained_cost.values) if t.trained_cost else None
    return sealed((
        t.number, t.state, t.deployed, t.trained, _plain(t.cost.values), trained_cost, t.seed, t.origin,
        t.attempts, t.lost, t.failure and t.failure.value, t.reason, *_score_row(t.score), _number(t.started), _number(t.ended),
    ))  # fmt: skip


def network_row(t: Trial) -> tuple[Any, ...]:
    """The network of a trial."""
    return sealed((t.number, _plain(t.architecture.to_dict()), _plain(t.decisions)))


def report_row(number: int, r: EpochResult) -> tuple[Any, ...]:
    """One epoch of a trial's learning curve."""
    return sealed((number, r.epoch, _results(r.values), _loss(r.values), _number(r.seconds)))


def confirmation_row(c: Confirmation) -> tuple[Any, ...]:
    """One confirming training."""
    return sealed((c.number, c.seed, c.state, c.failure and c.failure.value, c.reason, *_score_row(c.score)))


def trial_of(row: Row, network: Row, curve: tuple[EpochResult, ...]) -> Trial:
    """The inverse of `trial_row` and `network_row`.

    Raises:
        DamagedRow: when a row was changed or the network's is missing.
    """
    if network[0] is None:
        raise DamagedRow("the row of its network is missing")
    _, text, decisions = opened(network, _repr)
    if not isinstance(text, str) or not isinstance(decisions, str):
        raise DamagedRow("its network is no text")
    source = f"trial {row[0]}"  # a row without a digest may be anything, so that it is looked at here
    architecture = (
        Architecture.unread(text, source) if network[-1] is not None else Architecture.from_dict(json.loads(text), source)
    )
    return _trial(row, architecture, _decisions(decisions), curve)


def _decisions(text: str) -> dict[str, Setting]:
    """Decisions as JSON; a run has few different ones in thousands of trials, so that what was read once is not read again."""
    if text[:1] + text[-1:] == "{}":
        with suppress(KeyError):
            return dict(map(_READ.__getitem__, text[1:-1].split(", ")))
    said: dict[str, Setting] = {sys.intern(name): option for name, option in json.loads(text).items()}
    if not set(map(type, said.values())) <= _SETTINGS:
        raise DamagedRow(f"decisions cannot be {text[:60]!r}")
    if len(_READ) > MOST_READ:
        _READ.clear()
    _READ.update({f"{json.dumps(name)}: {json.dumps(option)}": (name, option) for name, option in said.items()})
    return said


_READ: dict[str, tuple[str, Setting]] = {}
"""Decisions by their JSON, which no other text between two commas of JSON is."""

MOST_READ = 10_000


def outline_of(row: Row) -> Trial:
    """A trial without its network and its curve: enough for counts, fronts and the best."""
    return _trial(row, UNREAD, {}, ())


_TEXTS, _COUNTS, _TIMES = (1, 2, 3, 7, 11), (0, 6, 9, 14), (15, 16, 17)
"""Which columns of a trial, by position."""

_SETTINGS = {int, float, bool, str}
"""What a decision may be."""

_STATES = frozenset(get_args(State))


def _check(values: Row) -> None:
    """Checks the types of a trial's columns, which a file of another maker need not keep.

    Raises:
        DamagedRow: naming the value.
    """
    wrong = [values[n] for n in _TEXTS if not isinstance(values[n], str)]
    wrong += [values[n] for n in _COUNTS if not is_count(values[n])]
    wrong += [values[n] for n in _TIMES if not is_number(values[n])] + [v for v in values[16:18] if not is_time(v)]
    wrong += [values[1]] * (values[1] not in _STATES)
    if wrong:
        raise DamagedRow(f"{str(wrong[0])[:60]!r} cannot stand there")


_decode = json.JSONDecoder().raw_decode


def _read(text: str) -> Any:
    """A value from its JSON, as `json.loads` reads it; but nothing may stand around it, which nobody has written.

    Raises:
        DamagedRow: where something does; ValueError and TypeError where it is no JSON.
    """
    value, end = _decode(text)
    if end != len(text):
        raise DamagedRow(f"{text[:60]!r} is more than one value")
    return value


def _costs(text: str) -> Cost:
    found = _read(text)
    if not isinstance(found, dict) or not all(isinstance(value, float) or is_number(value) for value in found.values()):
        raise DamagedRow(f"a cost cannot be {text[:60]!r}")
    return Cost(found)


def _trial(row: Row, architecture: Architecture, decisions: Mapping[str, Any], curve: tuple[EpochResult, ...]) -> Trial:
    values = opened(row)
    number, state, deployed, trained, cost, trained_cost, seed, origin, _, lost, failure, reason, *score, started, ended = values
    _check(values)
    return Trial(
        number=number, state=state, architecture=architecture, decisions=decisions, cost=_costs(cost),
        score=_score(score, curve), seed=seed, reason=reason, origin=origin, started=started, ended=ended,
        failure=FailureKind(failure) if failure else None, lost=lost, deployed=deployed, trained=trained,
        trained_cost=_costs(trained_cost) if trained_cost else None,
    )  # fmt: skip


def report_of(row: Row) -> EpochResult:
    """The inverse of `report_row`."""
    number, epoch, results, loss, seconds = opened(row)
    if not is_count(number) or not is_count(epoch) or not (seconds is None or is_number(seconds)):
        raise DamagedRow(f"epoch {str(epoch)[:60]!r} after {str(seconds)[:60]!r} seconds cannot stand there")
    return EpochResult(epoch, _values(results, loss), seconds)


def confirmation_of(row: Row) -> Confirmation:
    """The inverse of `confirmation_row`."""
    number, seed, state, failure, reason, *score = opened(row)
    if not all(map(is_count, (number, seed, score[2]))) or not isinstance(reason, str) or not is_number(score[3]):
        raise DamagedRow(f"seed {str(seed)[:60]!r} cannot stand there")
    return Confirmation(number, seed, state, _score(score, ()), reason, FailureKind(failure) if failure else None)


def _score_row(score: Score | None) -> tuple[Any, ...]:
    if score is None:
        return None, None, 0, 0.0
    return _results(score.values), _loss(score.values), score.epochs, _number(score.seconds)


def _score(values: Row, curve: tuple[EpochResult, ...]) -> Score | None:
    results, loss, epochs, seconds = values
    if results is None:
        return None
    return Score(_values(results, loss), epochs, seconds, curve)


def _plain(values: Mapping[str, Any]) -> str:
    return json.dumps(dict(values))


def _results(values: Mapping[str, float]) -> str:
    return _plain({name: _number(value) for name, value in values.items()})


def _loss(values: Mapping[str, float]) -> float | None:
    """The column of the loss, for those who read the file with SQL; NULL for a task that has none."""
    return _number(values.get(LOSS, math.nan))


def _values(results: str, loss: float | None) -> dict[str, float]:
    """The objectives by name; earlier versions wrote the loss beside them, not among them."""
    plain = _read(results)
    if not all(value is None or isinstance(value, float) or is_number(value) for value in (*plain.values(), loss)):
        raise DamagedRow(f"results cannot be {results[:60]!r}")
    found = {sys.intern(name): _nan(value) for name, value in plain.items()}
    return found if LOSS in found or loss is None else {**found, LOSS: loss}


def _number(value: float) -> float | None:
    """As SQLite gives it back: without a sign of zero, and NaN, which it and JSON do not know, as NULL."""
    return None if math.isnan(value) else float(value) + 0.0


def _nan(value: float | None) -> float:
    return math.nan if value is None else value

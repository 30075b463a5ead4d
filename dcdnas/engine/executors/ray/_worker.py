"""What a Ray worker runs for one of Tune's trials; imports little, so that it starts quickly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ray import tune

from dcdnas.core.architecture import Architecture
from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import EpochResult
from dcdnas.engine.executors._deadline import until_deadline
from dcdnas.engine.job import Job, described, kind_of

if TYPE_CHECKING:
    from dcdnas.engine.proxy_training import Train


class Stopped(BaseException):
    """Tune wants no more of a training."""


def trainable(config: dict[str, Any], train: Train, images: Any) -> None:
    """Trains one job. What the training raises is reported, so that its reason is kept.

    Args:
        config: Tune's configuration: the job as text.
        train: what is run.
        images: the task's images in memory that all workers of a machine share; None when `train` needs none.
    """
    job = job_from_text(config["job"])
    if images is not None:
        from dcdnas.tasks.classification import offer_images  # needs torch, and so does whatever trains on images

        offer_images(job.task, images)
    reported: list[EpochResult] = []

    def report(r: EpochResult) -> bool:
        reported.append(r)
        try:
            tune.report(as_result(r))
        except SystemExit:  # this is how Tune stops a training
            raise Stopped from None
        return True

    try:
        with until_deadline(job):
            score = train(job, report)
    except Stopped:
        raise SystemExit from None  # whoever returns is taken to have ended by itself, and waits for Tune to see a last report
    except BaseException as error:
        tune.report({"error": described(error), "kind": kind_of(error).value})
        return
    last = reported[-1] if reported else None
    if score is not None and (last is None or (score.epochs, score.values) != (last.epoch, last.values)):
        tune.report({"score": True, **as_result(EpochResult(score.epochs, score.values, score.seconds))})


def as_result(reached: EpochResult) -> dict[str, Any]:
    """What was reached, as Tune is told it: the values in pairs, since Tune flattens a mapping into keys of its own."""
    return {"epoch": reached.epoch, "values": [*reached.values.items()], "seconds": reached.seconds}


def of_result(result: Mapping[str, Any]) -> EpochResult:
    """The inverse of `as_result`."""
    return EpochResult(result["epoch"], dict(result["values"]), result["seconds"])


def job_to_text(job: Job) -> str:
    """A job as JSON, the only thing that travels in Tune's configuration."""
    plain = {
        "number": job.number, "architecture": job.architecture.to_dict(), "task": asdict(job.task), "confirm": job.confirm,
        "metrics": job.metrics,
    }  # fmt: skip
    return json.dumps(plain)


def job_from_text(text: str) -> Job:
    """The inverse of `job_to_text`."""
    plain = json.loads(text)
    architecture = Architecture.from_dict(plain["architecture"])
    return Job(plain["number"], architecture, TrainingTask(**plain["task"]), plain["confirm"], tuple(plain["metrics"]))

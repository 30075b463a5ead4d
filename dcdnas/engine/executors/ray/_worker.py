"""The function that a Ray worker runs for each Tune trial; imports little, so that the worker starts quickly."""

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
    """Raised inside a training when Tune stops it."""


def trainable(config: dict[str, Any], train: Train, images: Any) -> None:
    """Trains one job. An exception of the training is reported as a result, so that its reason is kept.

    Args:
        config: Tune's configuration: the job as text.
        train: training function to run.
        images: the task's images, in memory that all workers of a machine share; None when `train` needs none.
    """
    job = job_from_text(config["job"])
    if images is not None:
        from dcdnas.tasks.classification import offer_images  # imports torch, which every training on images needs anyway

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
        raise SystemExit from None  # a plain return would count as a normal end and wait until Tune has read a last report
    except BaseException as error:
        tune.report({"error": described(error), "kind": kind_of(error).value})
        return
    last = reported[-1] if reported else None
    if score is not None and (last is None or (score.epochs, score.values) != (last.epoch, last.values)):
        tune.report({"score": True, **as_result(EpochResult(score.epochs, score.values, score.seconds))})


def as_result(reached: EpochResult) -> dict[str, Any]:
    """Converts a report to a result for Tune, with the values as pairs, because Tune would flatten a mapping into many keys."""
    return {"epoch": reached.epoch, "values": [*reached.values.items()], "seconds": reached.seconds}


def of_result(result: Mapping[str, Any]) -> EpochResult:
    """Restores a report from a result of Tune: the inverse of `as_result`."""
    return EpochResult(result["epoch"], dict(result["values"]), result["seconds"])


def job_to_text(job: Job) -> str:
    """Converts a job to JSON, the only content of Tune's configuration."""
    plain = {
        "number": job.number, "architecture": job.architecture.to_dict(), "task": asdict(job.task), "confirm": job.confirm,
        "metrics": job.metrics,
    }  # fmt: skip
    return json.dumps(plain)


def job_from_text(text: str) -> Job:
    """Restores a job from JSON: the inverse of `job_to_text`."""
    plain = json.loads(text)
    architecture = Architecture.from_dict(plain["architecture"])
    return Job(plain["number"], architecture, TrainingTask(**plain["task"]), plain["confirm"], tuple(plain["metrics"]))

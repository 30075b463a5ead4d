"""The Ray executor: Ray Tune schedules the trainings, on this machine or a cluster; the loop decides.

Tune asks the searcher for a configuration and the scheduler whether to go on; both only pass the question to the loop. Tune's
own search, stopping and restoring are not used: they tell a stopped training as complete, forget half a run after a crash and
stop small networks first.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

for _name, _value in {
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}.items():
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402  the environment above is read when Ray is imported
from ray import tune  # noqa: E402
from ray.tune.schedulers import FIFOScheduler, TrialScheduler  # noqa: E402
from ray.tune.search import Searcher  # noqa: E402
from ray.tune.stopper import Stopper  # noqa: E402

from dcdnas.architecture import Architecture  # noqa: E402
from dcdnas.data import Split  # noqa: E402
from dcdnas.engine.execution import Execution  # noqa: E402
from dcdnas.engine.job import Job, Outcome, described  # noqa: E402
from dcdnas.engine.loop import WAIT, SearchLoop  # noqa: E402
from dcdnas.engine.worker import Train, images_of, offer_images  # noqa: E402
from dcdnas.errors import UsageError  # noqa: E402
from dcdnas.records import ProxyTask, Report, Score  # noqa: E402
from dcdnas.watchdog import watchdog  # noqa: E402

RESTARTS = 3
"""Times Tune's driver may crash, as it does when Ray kills a worker for memory, before the search gives up."""

Answer = TypeVar("Answer")


def run_ray(loop: SearchLoop, execution: Execution, folder: Path) -> None:
    """Runs the trainings under Ray Tune until the loop has no more.

    Args:
        loop: hands out the trainings.
        execution: resources of a training, and where the cluster is.
        folder: for Ray's own files, which are disposable.

    Raises:
        UsageError: when the machine or cluster has not what one training needs.
    """
    for attempt in range(RESTARTS + 1):
        bridge = Bridge(loop)
        try:
            with cluster(execution):
                _fit(bridge, execution, folder)
        except RuntimeError as error:
            if attempt == RESTARTS:
                raise
            loop.requeue(f"Ray's driver crashed: {described(error)}")
            continue
        if bridge.error:
            raise bridge.error
        if loop.running:
            loop.interrupt(loop.stopped or "interrupted by the keyboard")
        return


@contextmanager
def cluster(execution: Execution) -> Iterator[None]:
    """A Ray cluster: the one that is connected, the one at the address, or one of this machine that ends with the block."""
    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if execution.address:
        ray.init(address=execution.address, **quiet)
    else:
        cores = max(os.cpu_count() or 1, int(execution.jobs * execution.cpus_per_trial))
        ray.init(num_cpus=cores, include_dashboard=False, **quiet)
    try:
        yield
    finally:
        ray.shutdown()


class Bridge:
    """Passes Tune's questions to the loop. An error of the loop ends Tune's run cleanly and is raised after it."""

    def __init__(self, loop: SearchLoop) -> None:
        self.loop = loop
        self.error: Exception | None = None
        self._jobs: dict[str, Job] = {}
        self._curves: dict[str, list[Report]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune writes its searcher to disk for `Tuner.restore`, which is not used; the store is the memory."""
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next job as Tune's configuration, None to wait, `Searcher.FINISHED` at the end."""
        job = self._guarded(self.loop.next, None)
        if job is None:
            return str(Searcher.FINISHED)
        if job == WAIT:
            return None
        self._jobs[trial_id], self._curves[trial_id] = job, []
        return {"job": job_to_text(job)}

    def report(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether the training goes on after a result."""
        job = self._jobs.get(trial_id)
        curve = self._curves.get(trial_id, [])
        if job is None or "epoch" not in result or (curve and result["epoch"] <= curve[-1].epoch):
            return job is not None and "error" not in result
        curve.append(Report(result["epoch"], result["accuracy"], result["loss"], result["seconds"]))
        return self._guarded(lambda: self.loop.report(job, curve[-1]), False)

    def end(self, trial_id: str, result: dict[str, Any] | None, failed: bool) -> None:
        """The end of a training."""
        self.report(trial_id, result or {})
        job, curve = self._jobs.pop(trial_id, None), self._curves.pop(trial_id, [])
        if job is None:
            return
        error = (result or {}).get("error", "") or ("its worker process died" if failed else "")
        last = curve[-1] if curve else None
        score = Score(last.accuracy, last.loss, last.epoch, last.seconds, tuple(curve)) if last else None
        self._guarded(lambda: self.loop.end(job, Outcome(score, error)), None)

    @property
    def over(self) -> bool:
        """Whether everything must end now."""
        return self.error is not None or self._guarded(lambda: self.loop.must_end, True)

    def _guarded(self, question: Callable[[], Answer], otherwise: Answer) -> Answer:
        try:
            return question()
        except Exception as error:
            self.error = self.error or error
            return otherwise


class LoopSearcher(Searcher):
    """Tune's searcher: asks the loop."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self.bridge = bridge

    def suggest(self, trial_id: str) -> Any:
        """See `Bridge.suggest`."""
        return self.bridge.suggest(trial_id)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """See `Bridge.end`."""
        self.bridge.end(trial_id, result, error)

    def save(self, checkpoint_path: str) -> None:
        """Writes nothing: the run's store is the memory."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Reads nothing, likewise."""


class LoopScheduler(FIFOScheduler):
    """Tune's scheduler: asks the loop whether a training goes on."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bridge = bridge

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """See `Bridge.report`."""
        go_on = self.bridge.report(trial.trial_id, result)
        return str(TrialScheduler.CONTINUE if go_on else TrialScheduler.STOP)


class LoopStopper(Stopper):
    """Tune's stopper: ends everything when the loop must end."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Single trainings are the scheduler's."""
        return False

    def stop_all(self) -> bool:
        """See `Bridge.over`."""
        return self.bridge.over


def trainable(config: dict[str, Any], train: Train, images: Split | None) -> None:
    """What a Ray worker runs for one configuration. What a training raises is reported, so that its reason is kept."""
    job = job_from_text(config["job"])
    if images is not None:
        offer_images(job.task, images)

    def report(r: Report) -> bool:
        tune.report(asdict(r))
        return True

    try:
        with watchdog(1.5 * job.task.deadline):
            train(job, report)
    except Exception as error:
        tune.report({"error": described(error)})


def job_to_text(job: Job) -> str:
    """A job as JSON, the only thing that travels in Tune's configuration."""
    plain = {"number": job.number, "architecture": job.architecture.to_dict(), "task": asdict(job.task), "confirm": job.confirm}
    return json.dumps(plain)


def job_from_text(text: str) -> Job:
    """The inverse of `job_to_text`."""
    plain = json.loads(text)
    architecture = Architecture.from_dict(plain["architecture"])
    return Job(plain["number"], architecture, ProxyTask(**plain["task"]), plain["confirm"])


def _fit(bridge: Bridge, execution: Execution, folder: Path) -> None:
    images = None if execution.train else images_of(bridge.loop.config.task)
    resources = {"cpu": execution.cpus_per_trial, **({"gpu": execution.gpus_per_trial} if execution.gpus_per_trial else {})}
    function = tune.with_parameters(trainable, train=execution.training(), images=images)
    session = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    tuner = tune.Tuner(
        tune.with_resources(function, resources),
        tune_config=tune.TuneConfig(
            search_alg=LoopSearcher(bridge),
            scheduler=LoopScheduler(bridge),
            num_samples=-1,
            max_concurrent_trials=_at_one_time(execution),
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name=session,
            storage_path=str(folder.absolute()),
            stop=LoopStopper(bridge),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=0),
        ),
    )
    try:
        tuner.fit()
    finally:
        shutil.rmtree(folder / session, ignore_errors=True)


def _at_one_time(execution: Execution) -> int:
    """Trainings that fit into the cluster at one time, at most as many as asked for."""
    have = ray.cluster_resources()  # type: ignore[no-untyped-call]
    fits = [have.get("CPU", 0.0) / execution.cpus_per_trial] if execution.cpus_per_trial else []
    if execution.gpus_per_trial:
        fits.append(have.get("GPU", 0.0) / execution.gpus_per_trial)
    most = int(min(fits) + 1e-9) if fits else 1
    if most < 1:
        raise UsageError(
            f"one training needs {execution.cpus_per_trial:g} CPUs and {execution.gpus_per_trial:g} GPUs, but Ray has "
            f"{have.get('CPU', 0):g} and {have.get('GPU', 0):g}. Lower `--gpus-per-trial` or `--cpus-per-trial`."
        )
    return min(most, execution.jobs) if execution.jobs else most

"""The Ray executor: Ray Tune schedules the trainings, on this machine or a cluster; the loop decides.

Tune asks the searcher for a configuration and the scheduler whether to go on; both only pass the question to the loop. Tune's
own search, stopping and restoring are not used: they tell a stopped training as complete, forget half a run after a crash and
stop small networks first.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

for _name, _value in {
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}.items():
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402  the environment above is read when Ray is imported
from ray import tune  # noqa: E402
from ray.exceptions import RayError  # noqa: E402
from ray.tune.error import TuneError  # noqa: E402

from dcdnas.engine.execution import Execution  # noqa: E402
from dcdnas.engine.executors._ray_bridge import Bridge, LoopScheduler, LoopSearcher, LoopStopper  # noqa: E402
from dcdnas.engine.executors._ray_trainable import trainable  # noqa: E402
from dcdnas.engine.job import described  # noqa: E402
from dcdnas.engine.loop import SearchLoop  # noqa: E402
from dcdnas.engine.proxy_training import images_of  # noqa: E402
from dcdnas.errors import Resumable, UsageError  # noqa: E402

RESTARTS = 3
"""Times in a row that Tune may crash with nothing running that could be the cause, before the search gives up."""


def run_ray(loop: SearchLoop, execution: Execution, folder: Path) -> None:
    """Runs the trainings under Ray Tune until the loop has no more.

    Tune's driver crashes when Ray kills a worker for memory: then what was running is asked again under a new one. A network
    that goes down so twice has failed, so this ends.

    Args:
        loop: hands out the trainings.
        execution: resources of a training, and where the cluster is.
        folder: for Ray's own files, which are disposable.

    Raises:
        UsageError: when Ray cannot be started, or the machine or cluster has not what one training needs.
        Resumable: when Tune crashes time and again.
    """
    crashes = 0
    while True:
        bridge = Bridge(loop)
        try:
            with _logged(folder.with_name("workers.log")), cluster(execution):
                _fit(bridge, execution, folder)
        except (RuntimeError, TuneError, RayError) as error:
            if not bridge.error:
                crashes = 0 if loop.running else crashes + 1
                if crashes > RESTARTS:
                    raise Resumable(f"Ray crashed {crashes} times, at last with: {described(error)}") from None
                loop.requeue(f"Ray crashed while it was training: {described(error)}")
                continue
        if bridge.error:
            raise bridge.error
        if loop.running:
            loop.interrupt(loop.stopped or "interrupted")
        return


@contextmanager
def cluster(execution: Execution) -> Iterator[None]:
    """A Ray cluster: the one that is connected, the one at the address, or one of this machine that ends with the block.

    Raises:
        UsageError: when there is none at the address, or none can be started here.
    """
    if ray.is_initialized():
        yield
        return
    settings: dict[str, Any] = {"address": execution.address or "local", "log_to_driver": False, "logging_level": "ERROR"}
    if not execution.address:
        settings |= {
            "num_cpus": max(os.cpu_count() or 1, int(execution.jobs * execution.cpus_per_trial)),
            "include_dashboard": False,
        }
    with _own_handlers():
        try:
            ray.init(**settings)
        except Exception as error:
            where = f"there is no Ray cluster at {execution.address}" if execution.address else "Ray cannot be started"
            raise UsageError(f"{where}: {described(error)}. `--executor local` searches without Ray.") from None
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _logged(log: Path) -> Iterator[None]:
    """Within the block what Ray logs in this process goes to a file; the terminal belongs to the search."""
    log.parent.mkdir(parents=True, exist_ok=True)
    logger = logging.getLogger("ray")
    before = logger.handlers, logger.propagate
    file = logging.FileHandler(log, delay=True)
    file.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
    logger.handlers, logger.propagate = [file], False
    # what raylets say of workers that died is printed on stdout, where JSON may be expected, and no setting turns it off
    printing = getattr(ray._private.worker, _PRINT, None)
    setattr(ray._private.worker, _PRINT, lambda data, **_: logger.warning(" ".join(data["lines"])))
    try:
        yield
    finally:
        setattr(ray._private.worker, _PRINT, printing)
        logger.handlers, logger.propagate = before
        file.close()


_PRINT = "print_to_stdstream"


@contextmanager
def _own_handlers() -> Iterator[None]:
    """Puts back what the block does to the handlers of signals: Ray takes SIGTERM for itself, Tune takes SIGUSR1."""
    numbers = [getattr(signal, n) for n in ("SIGTERM", "SIGUSR1") if hasattr(signal, n)]
    before = {n: signal.getsignal(n) for n in numbers}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                if handler is not None:
                    signal.signal(number, handler)


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
        with _own_handlers():
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

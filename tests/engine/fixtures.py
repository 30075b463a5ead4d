"""Fixtures: the store of a new run, and one Ray cluster for the tests of a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from searching import memory

from dcdnas.engine.executors.ray import set_environment
from dcdnas.engine.store import Store

HERE = Path(__file__).parent


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """The store of a new run, open for writing."""
    with closing(memory(tmp_path)) as made:
        yield made


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Ray with two CPUs and a simulated GPU, without its dashboard."""
    with environment_of_ray():
        import ray

        ray.init(address="local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield
        ray.shutdown()


@contextmanager
def environment_of_ray() -> Iterator[None]:
    """Sets environment variables with which Ray's workers find the simulated trainings, within the block."""
    before = dict(os.environ)
    places = [str(HERE), str(HERE.with_name("faults")), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ |= {"PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1"}
    os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] = "2"
    set_environment()
    yield
    os.environ.clear()
    os.environ.update(before)

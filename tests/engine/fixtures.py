"""A store to write to, and one Ray for the tests of a file that train on it."""

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
    """The store of a new run."""
    with closing(memory(tmp_path)) as made:
        yield made


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Ray on two cores and a pretended GPU, without its dashboard."""
    with environment_of_ray():
        import ray

        ray.init(address="local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield
        ray.shutdown()


@contextmanager
def environment_of_ray() -> Iterator[None]:
    """An environment in which Ray's workers find the pretended trainings."""
    before = dict(os.environ)
    places = [str(HERE), str(HERE.with_name("faults")), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ |= {"PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1"}
    os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] = "2"
    set_environment()
    yield
    os.environ.clear()
    os.environ.update(before)

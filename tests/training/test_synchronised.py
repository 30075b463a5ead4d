"""BatchNorms that see the images of all processes: on CUDA, while a network learns, and nowhere else. No test here needs CUDA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from small_training import TASK, network, small_data
from torch import nn

from dcdnas.operators import BatchNorm, StatedNorm, operators
from dcdnas.training.group import Group, Processes
from dcdnas.training.loop import Training, seeded
from dcdnas.training.synchronised import synchronised

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


def kinds(net: nn.Module) -> list[type[nn.Module]]:
    return [type(m) for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def test_within_they_are_torchs_and_have_the_same_numbers_and_afterwards_they_are_themselves() -> None:
    net = network()
    before, own = dict(net.named_modules()), {n: t.data_ptr() for n, t in net.state_dict().items()}
    with synchronised(net, CUDA):
        assert set(kinds(net)) == {nn.SyncBatchNorm}
        assert {n: t.data_ptr() for n, t in net.state_dict().items()} == own
        assert {id(p) for p in net.parameters()} == {id(p) for m in before.values() for p in m.parameters(recurse=False)}
    assert dict(net.named_modules()) == before


def test_on_the_cpu_they_are_left_alone() -> None:
    net = network()
    with synchronised(net, CPU):
        assert set(kinds(net)) == {BatchNorm}


def test_norms_whose_statistics_an_operator_computes_stay() -> None:
    net = nn.Sequential(operators["dcd"](8, 8, 3, variant="code"), BatchNorm(8))
    with synchronised(net, CUDA):
        assert kinds(net) == [StatedNorm, StatedNorm, nn.SyncBatchNorm]


def test_they_are_back_when_the_block_raises() -> None:
    net = network()
    with pytest.raises(ValueError, match="stop"), synchronised(net, CUDA):
        raise ValueError("stop")
    assert set(kinds(net)) == {BatchNorm}


def test_several_processes_learn_so_by_the_device_of_the_network_and_one_never(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.device] = []
    monkeypatch.setattr("dcdnas.training.group.synchronised", lambda net, device: asked.append(device))
    several = Processes.__new__(Processes)
    several.learning(network())
    Group().learning(network())
    assert asked == [CPU]


def test_a_training_learns_within_and_reads_without() -> None:
    class Watched(Group):
        within = False

        @contextmanager
        def learning(self, network: nn.Module) -> Iterator[None]:
            self.within = True
            yield
            self.within = False

    group, seen = Watched(), list[bool]()
    with seeded(0) as generator:
        training = Training(network(), small_data(), TASK, generator, group=group)
        training.network.register_forward_pre_hook(lambda module, given: seen.append(group.within))
        for _ in training.steps():
            assert group.within
        learned = len(seen)
        training.read()
    assert all(seen[:learned])
    assert not any(seen[learned:])
    assert len(seen) > learned > 0

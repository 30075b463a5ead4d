"""A standalone file reads parameters whose names are no Python identifiers, such as those of a ParameterList."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dcdnas.export.standalone import _attribute


class Listed(nn.Module):
    """Parameters in a list, under a keyword, and plain."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ParameterList([torch.zeros(1), torch.zeros(2)])
        self.layers = nn.Sequential(nn.Linear(1, 2))
        self.register_parameter("lambda", nn.Parameter(torch.zeros(3)))
        self.plain = nn.Parameter(torch.zeros(4))


@pytest.mark.parametrize("module", [Listed(), nn.ParameterList([torch.zeros(1)])])
def test_every_parameter_can_be_read_by_its_expression(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        assert eval(_attribute(name), {"self": module}) is parameter


def test_a_plain_name_is_written_plainly() -> None:
    assert _attribute("stage1.block1.weight") == "self.stage1.block1.weight"

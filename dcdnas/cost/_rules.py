"""Rules that a cost metric from outside the package must keep to be used; `dcdnas.testing` checks the whole contract."""

from __future__ import annotations

import math

from dcdnas.core.architecture import LayerChoice
from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.plugins import require
from dcdnas.cost._base import Metric, metrics
from dcdnas.networks import Slot

PLACE = Slot("stage1.block1", ConvGeometry(8, 12, 3, height=6, width=6), activation="relu")


def check(name: str, metric: Metric) -> None:
    """Checks the notation and prices one slot; no module is built.

    Args:
        name: of the entry.
        metric: to be added.

    Raises:
        ContractError: naming the rule that it breaks.
    """
    notation = metric.notation
    require(notation.metric == name, f"its notation is of {notation.metric!r}; it has to have the entry's name, {name!r}")
    sizes = [size for size, _ in notation.scale.steps]
    require(bool(sizes) and min(sizes) > 0, "its scale has no units, or one that is not above 0")
    taken = {word: other for other, known in metrics.items() for word in (other, *known.notation.words) if other != name}
    for word in (name, *notation.words):
        require(word not in taken, f"a budget on {word!r} means {taken.get(word)!r} already; give it another name or word")
    value = metric.of_slot(PLACE, LayerChoice("static"))
    finite = value is None or (isinstance(value, int | float) and math.isfinite(value) and value >= 0)
    require(finite, f"of_slot says {value!r} of a convolution; it has to be a finite number from 0 on, or None to be measured")

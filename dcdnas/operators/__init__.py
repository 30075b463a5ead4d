"""Candidate convolutions: one file for each paper. The catalogue of operators is made of the files in this folder."""

from dcdnas.core.catalogue import Catalogue
from dcdnas.core.plugins import Place, accept
from dcdnas.operators._base import Operator
from dcdnas.operators._ddf_up import DDFUp
from dcdnas.operators._dynamic_activation import DynamicActivation, dynamic_activations
from dcdnas.operators._guide import width_of
from dcdnas.operators._kernels import watching
from dcdnas.operators._norm import BatchNorm, StatedNorm, absorbed, activated
from dcdnas.operators._observed import Observer
from dcdnas.operators._product import counting, product
from dcdnas.operators._rules import check as _check
from dcdnas.operators.static import Static

operators: Catalogue[type[Operator]] = Catalogue("operators", "operator")

accept(Place(operators, Operator, "operator", rules=_check))

__all__ = [
    "BatchNorm",
    "DDFUp",
    "DynamicActivation",
    "Observer",
    "Operator",
    "StatedNorm",
    "Static",
    "absorbed",
    "activated",
    "counting",
    "dynamic_activations",
    "operators",
    "product",
    "watching",
    "width_of",
]

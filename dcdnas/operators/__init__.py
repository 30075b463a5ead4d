"""Candidate convolutions, one paper a file; the folder is the table of its entries."""

from dcdnas.core.catalogue import Catalogue
from dcdnas.core.plugins import accept
from dcdnas.operators._base import Operator
from dcdnas.operators._ddf_up import DDFUp

operators: Catalogue[type[Operator]] = Catalogue("operators", "operator", "`--plugin FILE` loads one of your own.")

accept(operators, Operator, "operator")

__all__ = ["DDFUp", "Operator", "operators"]

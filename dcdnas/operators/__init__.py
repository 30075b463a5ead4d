"""Candidate convolutions, one paper a file; the folder is the table of its entries."""

from dcdnas.catalogue import Catalogue
from dcdnas.operators._base import Operator
from dcdnas.operators._ddf_up import DDFUp

operators: Catalogue[type[Operator]] = Catalogue("operators", "operator", "`--plugin FILE` loads one of your own.")

__all__ = ["DDFUp", "Operator", "operators"]

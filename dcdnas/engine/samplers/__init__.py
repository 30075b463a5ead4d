"""Samplers that propose the next network, one a file; the folder is the table of its entries."""

from dcdnas.core.catalogue import Catalogue
from dcdnas.engine.samplers._base import Sampler

samplers: Catalogue[Sampler] = Catalogue("engine.samplers", "sampler")

__all__ = ["Sampler", "samplers"]

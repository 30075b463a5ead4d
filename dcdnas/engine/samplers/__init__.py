"""Samplers, which propose the next network: one per file, and the folder is the catalogue of its entries."""

from dcdnas.core.catalogue import Catalogue
from dcdnas.core.plugins import Place, accept
from dcdnas.engine.samplers._base import Direct, Known, Sampler, Search
from dcdnas.engine.samplers._rules import check as _check
from dcdnas.engine.samplers._smoothed import smoothed

samplers: Catalogue[Sampler] = Catalogue("engine.samplers", "sampler")

accept(Place(samplers, Sampler, "sampler", made=True, rules=_check))

__all__ = ["Direct", "Known", "Sampler", "Search", "samplers", "smoothed"]

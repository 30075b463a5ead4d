"""Sources of images, one a file; the folder is the table of its entries."""

from dcdnas.core.catalogue import Catalogue
from dcdnas.data._base import Images, Source, Split, split
from dcdnas.data._fetch import fetch
from dcdnas.data._load import at_size, load, load_test, open_source, ordered_as

sources: Catalogue[type[Source]] = Catalogue("data", "data set")

__all__ = ["Images", "Source", "Split", "at_size", "fetch", "load", "load_test", "open_source", "ordered_as", "sources", "split"]

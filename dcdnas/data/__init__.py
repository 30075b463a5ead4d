"""Data sources, one per file; the files of this folder that do not begin with an underscore are the available data sets."""

from dcdnas.core.plugins import Place, accept
from dcdnas.data._base import UNLABELLED, Contents, Images, Listed, Raw, Source, Split, checked, split
from dcdnas.data._crop import TRIES, Crops
from dcdnas.data._fetch import fetch
from dcdnas.data._find import default_folder
from dcdnas.data._load import at_size, contents, load, load_both, load_sized, load_test, open_source, ordered_as, placed, sources
from dcdnas.data._loose import Pictures, find_pictures, read_pictures
from dcdnas.data._mask_picture import colour, mask_png
from dcdnas.data._picture import shown, size_of
from dcdnas.data._rules import check as _check
from dcdnas.data._summary import tolerated

__all__ = [
    "TRIES", "UNLABELLED", "Contents", "Crops", "Images", "Listed", "Pictures", "Raw", "Source", "Split", "at_size", "checked",
    "colour", "contents", "default_folder", "fetch", "find_pictures", "load", "load_both", "load_sized", "load_test", "mask_png",
    "open_source", "ordered_as", "placed", "read_pictures", "shown", "size_of", "sources", "split", "tolerated",
]  # fmt: skip

accept(Place(sources, Source, "data source", rules=_check))

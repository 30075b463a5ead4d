"""Exports an architecture, with weights if there are any, as self-contained files; each is loaded again and compared."""

from dcdnas.export.config import Model, Normalisation, read_model, write_config
from dcdnas.export.metadata import as_trained, check_described, other_size
from dcdnas.export.model import FORMATS, Written, export_model, load_trained, load_weights, read_formats, save_weights
from dcdnas.export.names import CARD, MARK, PICTURE, WEIGHTS
from dcdnas.export.opened import Opened, config_file, open_network
from dcdnas.export.provenance import how_trained, model_of, of_weights, provenance
from dcdnas.export.speed import Speed, speed_of

__all__ = [
    "CARD",
    "FORMATS",
    "MARK",
    "PICTURE",
    "WEIGHTS",
    "Model",
    "Normalisation",
    "Opened",
    "Speed",
    "Written",
    "as_trained",
    "check_described",
    "config_file",
    "export_model",
    "how_trained",
    "load_trained",
    "load_weights",
    "model_of",
    "of_weights",
    "open_network",
    "other_size",
    "provenance",
    "read_formats",
    "read_model",
    "save_weights",
    "speed_of",
    "write_config",
]

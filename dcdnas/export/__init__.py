"""From an architecture, and weights where there are any, to files that stand alone; each is loaded again and compared."""

from dcdnas.export.config import Model, Normalisation, read_model, write_config
from dcdnas.export.model import FORMATS, WEIGHTS, Written, export_model, load_trained, load_weights, read_formats, save_weights
from dcdnas.export.provenance import model_of, provenance

__all__ = [
    "FORMATS",
    "WEIGHTS",
    "Model",
    "Normalisation",
    "Written",
    "export_model",
    "load_trained",
    "load_weights",
    "model_of",
    "provenance",
    "read_formats",
    "read_model",
    "save_weights",
    "write_config",
]

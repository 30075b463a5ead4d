"""Pages in a browser over the folder of runs: what was found, one network layer by layer, a search while it runs."""

from dcdnas.dashboard.app import make_app, serve

__all__ = ["make_app", "serve"]

"""Serves pages about a folder of runs to a browser: results, single networks layer by layer, and searches as they run."""

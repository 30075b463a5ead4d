"""Pages in a browser over the folder of runs: what was found, one network layer by layer, a search while it runs."""

"""From a space file in YAML to a search space, with every problem reported at its line."""

"""Content and appearance of a run's pages, with or without a server: drawings of networks, templates, scripts, style sheets."""

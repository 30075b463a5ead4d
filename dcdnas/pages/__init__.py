"""What the pages of a run say and how they look, with or without a server: networks layer by layer, templates, scripts, style."""

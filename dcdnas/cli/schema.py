"""`dcdnas schema`: prints the JSON Schema of space files."""

from __future__ import annotations

import json
import sys

from dcdnas.cli._output import Output

__all__ = ["schema"]

PANEL = "Spaces and data"


def schema(out: Output) -> None:
    """Print the JSON Schema of space files, for editors that complete and check YAML.

    Put `# yaml-language-server: $schema=space.schema.json` on the first line of a space file.

    Example:  dcdnas schema > space.schema.json
    """
    from dcdnas.space.reading.schema import json_schema

    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")

"""Measures the processor time of commands that train nothing, and whether they import torch.

    python benchmarks/commands.py [--rounds 3] [--dry-runs 1]      prints the table of docs/speed.md

The commands read a run of six short trainings, which is made first. The cache folder is empty at the start, so the first call of
each command finds nothing cached; its time is printed separately.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile

SEARCH = "search fashion-quick -b 1MFLOPs -n 6 --epochs 1 --confirm 0 --executor inline --name six --quiet"
COMMANDS = ("--help", "list operators", "status six", "show six", "trials six", "search --budget 300MFLOPs --dry-run")


def seconds(command: str, folder: str) -> float:
    """Processor seconds of a command and of the processes that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "dcdnas", *command.split()], cwd=folder, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def imports_torch(command: str, folder: str) -> bool:
    """Whether the command has imported torch by the time it ends."""
    code = (
        "import sys\nfrom dcdnas.cli import main\n"
        f"try:\n    main({command.split()!r})\nexcept SystemExit:\n    pass\nsys.stderr.write('TORCH' * ('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    return "TORCH" in done.stderr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dry-runs", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DCDNAS_CACHE"], os.environ["COLUMNS"] = f"{folder}/cache", "80"
        subprocess.run([sys.executable, "-m", "dcdnas", *SEARCH.split()], cwd=folder, stdout=subprocess.DEVNULL, check=True)
        load = os.getloadavg()[0]
        print(f"{platform.machine()}, {os.cpu_count()} cores at load {load:.1f}, Python {platform.python_version()}\n")
        print("| command | first, s | after that, s, median (range) | torch |\n| --- | ---: | ---: | --- |")
        for command in COMMANDS:
            rounds = given.dry_runs if "--dry-run" in command else given.rounds
            first, *others = [seconds(command, folder) for _ in range(1 + rounds)]
            spread = f"{statistics.median(others):.2f} ({min(others):.2f}-{max(others):.2f})"
            print(f"| `{command}` | {first:.2f} | {spread} | {'yes' if imports_torch(command, folder) else 'no'} |", flush=True)


if __name__ == "__main__":
    main()

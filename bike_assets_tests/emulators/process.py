"""Starting an emulator: a script in the emulators' environment, which prints its ports and ends when we do.

What it answers is in the script, what tests ask of it in the module beside it.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bike_assets.instance.home_instance import REPOSITORY

PYTHON = REPOSITORY / ".venv-emulators" / "bin" / "python"
FOR_EVER = 1_000_000


@contextmanager
def running(script: str) -> Iterator[dict[str, int]]:
    """Run a script of this folder while the body does; its ports by their names."""
    if not PYTHON.exists():
        raise FileNotFoundError(f"{PYTHON} is missing: make test installs the emulators")
    command = [PYTHON, "-W", "ignore", Path(__file__).parent / script]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        ports = next((line for line in process.stdout or () if line.startswith("{")), None)
        if ports is None:
            raise ChildProcessError(f"{script} did not start; its output is above")
        yield json.loads(ports)
    finally:
        process.communicate(timeout=120)

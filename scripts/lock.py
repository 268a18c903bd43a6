"""Pin everything again: resolve pyproject.toml with uv and write the lock files, with hashes and without addresses.

Typed by a maintainer after a change of the dependencies: python scripts/lock.py [--upgrade]. It needs uv on the path.
Each lock file but the first lists only what the ones before it lack, because they are installed one after the other.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
LOCKS = {
    "requirements.lock": ["pyproject.toml"],
    "requirements-gcp.lock": ["pyproject.toml", "--extra", "gcp"],
    "requirements-dev.lock": ["pyproject.toml", "--extra", "gcp", "--extra", "dev"],
}
SEPARATE_LOCKS = {
    "requirements-setup.lock": ["requirements-setup.in"],
    "requirements-emulators.lock": ["requirements-emulators.in"],
}
COMPILE = [
    "uv", "pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-header",
    "--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--quiet",
]  # fmt: skip
ENTRY = re.compile(r"^(?P<pin>[\w.-]+==[^ ;\\]+)[^\n]*(?:\n {4}[^\n]*)*", re.MULTILINE)


def main() -> None:
    """Write every lock file; pins stay as they are unless --upgrade asks for newer ones."""
    upgrade = "--upgrade" in sys.argv[1:]
    known: set[str] = set()
    for name, sources in LOCKS.items():
        entries = _resolve(sources, [] if upgrade else [*LOCKS])
        _write(name, [text for pin, text in entries if pin not in known])
        known |= {pin for pin, _ in entries}
    for name, sources in SEPARATE_LOCKS.items():
        _write(name, [text for _, text in _resolve(sources, [] if upgrade else [name])])


def _resolve(sources: list[str], locks: list[str]) -> list[tuple[str, str]]:
    pins = "".join((REPOSITORY / lock).read_text() for lock in locks if (REPOSITORY / lock).exists())
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        lines = [match[0].splitlines()[0].rstrip(" \\") for match in ENTRY.finditer(pins)]
        constraints.write("\n".join(lines))
        constraints.flush()
        done = subprocess.run(
            [*COMPILE, *sources, "-c", constraints.name], cwd=REPOSITORY, check=True, capture_output=True, text=True
        )
    return [(match["pin"], match[0]) for match in ENTRY.finditer(done.stdout)]


def _write(name: str, entries: list[str]) -> None:
    (REPOSITORY / name).write_text("\n".join(entries) + "\n")
    print(f"{name}: {len(entries)} packages")


if __name__ == "__main__":
    main()

"""Install pinned packages into an environment and show one line of progress: packages so far, seconds.

It runs pip and needs nothing but the standard library, because it runs before anything is installed. What is pinned
belongs to the lock files; which environment needs which of them belongs to the Makefile.
"""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

PIN = re.compile(r"^[A-Za-z0-9][\w.-]*==", re.MULTILINE)
ERROR = re.compile(r"^\s*ERROR:|error:", re.MULTILINE)
SECONDS_BETWEEN_LINES = 20


def main() -> None:
    """Install what the command line names; exit 1 with pip's own words where pip fails."""
    arguments = _arguments()
    packages = _packages_folder(arguments.python)
    before = len(list(packages.glob("*.dist-info")))
    progress = Progress(arguments.what, packages, len(PIN.findall(arguments.lock.read_text())), before)
    log = Path(sys.prefix) / f"install-{arguments.lock.stem}.log"
    command = [sys.executable, "-m", "pip", "--python", arguments.python, "install", "--no-deps", "--no-compile"]
    with log.open("wb") as output:
        pip = subprocess.Popen(
            [*command, "--require-hashes", "-r", arguments.lock], stdout=output, stderr=subprocess.STDOUT
        )
        while pip.poll() is None:
            progress.show(log.read_text(errors="replace"))
            time.sleep(0.5)
    if pip.returncode:
        output = log.read_text(errors="replace")
        errors = [line for line in output.splitlines() if ERROR.search(line)] or output.splitlines()[-5:]
        sys.exit("\n".join([f"\nInstalling {arguments.what} failed; pip's output is in {log}:", *errors]))
    progress.end()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", help="what the packages are for, as the line names it")
    parser.add_argument("lock", type=Path, help="the lock file")
    parser.add_argument("--python", default=sys.executable, help="the environment's Python; this one by default")
    return parser.parse_args()


def _packages_folder(python: str) -> Path:
    command = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    return Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


class Progress:
    """The line of progress: rewritten in place on a terminal, otherwise a new line every now and then.

    Args:
        what: what the packages are for.
        packages: the environment's folder of packages.
        pinned: how many packages the lock file pins, those for other systems included.
        before: how many packages the environment had before.
    """

    def __init__(self, what: str, packages: Path, pinned: int, before: int) -> None:
        self.what, self.packages, self.pinned, self.before = what, packages, pinned, before
        self.began = time.monotonic()
        self._shown: float | None = None

    def show(self, output: str) -> None:
        """Show how far pip is, from its output and the installed packages."""
        installed = len(list(self.packages.glob("*.dist-info"))) - self.before
        fetched = len(re.findall(r"^(?:Collecting|Requirement already)", output, re.MULTILINE))
        step = f"{installed} installed" if "Installing collected packages" in output else f"{fetched} downloaded"
        self._print(f"Installing {self.what}: {step} of {self.pinned}, {time.monotonic() - self.began:.0f} s")

    def end(self) -> None:
        """Show what is there now."""
        now = len(list(self.packages.glob("*.dist-info")))
        size = sum(path.lstat().st_size for path in self.packages.rglob("*") if path.is_file()) / 1e9
        line = f"Installed {self.what}: {now} packages, {size:.1f} GB, {time.monotonic() - self.began:.0f} s"
        print(f"\r{line:<78}" if sys.stdout.isatty() else line, flush=True)

    def _print(self, line: str) -> None:
        if sys.stdout.isatty():
            print(f"\r{line:<78}", end="", flush=True)
            return
        now = time.monotonic()
        if self._shown is None or now - self._shown > SECONDS_BETWEEN_LINES:
            self._shown = now
            print(line, flush=True)


if __name__ == "__main__":
    main()

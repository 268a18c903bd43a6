"""The optional programs: where they are, the tests that are skipped without them, and a path that lacks them all.

`python -m bike_assets_tests.programs COMMAND...` runs a command as on a machine that has none of them.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

OPTIONAL = {
    "chromium": ("chromium",),
    "docker": ("docker", "docker-compose"),
    "postgresql": ("pg_ctlcluster", "pg_config", "psql", "postgres"),
    "prometheus": ("prometheus", "promtool"),
    "prometheus-alertmanager": ("prometheus-alertmanager", "alertmanager", "amtool"),
    "strace": ("strace",),
    "wrk": ("wrk",),
}
"""Names of each Debian package's programs; a test may use those here alone, because CI runs the others without them."""


def system_program(package: str, *names: str) -> str:
    """Return where a program is, under the first of its names that is found.

    CI installs the packages and fails where one is missing; elsewhere the test is skipped with its reason.

    Args:
        package: the Debian package, one of OPTIONAL.
        names: the program's names; the package's first one by default.
    """
    known = OPTIONAL[package]
    assert set(names) <= set(known), f"{names} of {package} are not listed in {__name__}.OPTIONAL"
    found = next((path for name in names or known[:1] if (path := shutil.which(name))), None)
    if found is None and os.environ.get("REQUIRE_SYSTEM_PACKAGES"):
        pytest.fail(f"the system package {package} is not installed, and REQUIRE_SYSTEM_PACKAGES is set")
    if found is None:
        pytest.skip(f"needs the system package {package}")
    return found


def fill_without_programs(folder: Path, path: str) -> None:
    """Link to every program on a path but the optional ones."""
    optional = {name for names in OPTIONAL.values() for name in names}
    for place in map(Path, path.split(os.pathsep)):
        for program in place.iterdir() if place.is_dir() else ():
            link = folder / program.name
            if program.name not in optional and not link.is_symlink():
                link.symlink_to(program)


def main() -> int:
    """Run the command of the command line and return its exit code."""
    with tempfile.TemporaryDirectory(prefix="bike-programs-") as folder:
        fill_without_programs(Path(folder), os.environ["PATH"])
        bare = {name: value for name, value in os.environ.items() if name != "REQUIRE_SYSTEM_PACKAGES"}
        return subprocess.run(sys.argv[1:], env={**bare, "PATH": folder}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

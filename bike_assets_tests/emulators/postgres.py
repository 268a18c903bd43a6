"""PostgreSQL for tests: Debian's own, with a cluster of its own on a free port, gone afterwards."""

import glob
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

USER, DATABASE = "bike", "dagster"
READY_WITHIN_SECONDS = 150
INSTALLED = "/usr/lib/postgresql/*/bin/postgres"


@dataclass(frozen=True)
class Postgres:
    """A running server; its user bike owns the database dagster."""

    port: int
    password: str = field(repr=False)
    host: str = "127.0.0.1"

    def make_database(self, name: str) -> str:
        """Make an empty database and return its address, password included."""
        import psycopg2

        connection = psycopg2.connect(self._url("postgresql", "postgres"))
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        connection.close()
        return self._url("postgresql+psycopg2", name)

    def _url(self, scheme: str, database: str) -> str:
        return f"{scheme}://{USER}:{self.password}@{self.host}:{self.port}/{database}"


def installed() -> Path | None:
    """Return the folder of the newest PostgreSQL's programs, if Debian's package is there and its tools are found."""
    if shutil.which("pg_ctlcluster") is None:
        return None
    found = sorted(glob.glob(INSTALLED), key=lambda path: int(path.split("/")[4]))
    return Path(found[-1]).parent if found else None


@contextmanager
def running_postgres(programs: Path) -> Iterator[Postgres]:
    """Run a server while the body does."""
    # It refuses to run as root, and Debian's package brings a user along.
    user = {"user": "postgres"} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="bike-postgres-"))
    try:
        server = Postgres(_free_port(), secrets.token_hex(8))
        (folder / "password").write_text(server.password)
        if user:
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres")
        data = folder / "data"
        asked = [f"--username={USER}", f"--pwfile={folder / 'password'}", "--auth=scram-sha-256", "--no-sync"]
        subprocess.run([programs / "initdb", "-D", data, *asked], check=True, capture_output=True, cwd="/", **user)
        options = f"-p {server.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        control = [programs / "pg_ctl", "-D", data, "-l", folder / "log", "-w", "-t", str(READY_WITHIN_SECONDS)]
        try:
            subprocess.run([*control, "-o", options, "start"], check=True, stdout=subprocess.DEVNULL, cwd="/", **user)
            server.make_database(DATABASE)
            yield server
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=False, capture_output=True, cwd="/", **user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]

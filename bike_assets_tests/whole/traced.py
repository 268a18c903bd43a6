"""What a process and all its children touch, as strace reports it: addresses they connect to, paths they write.

Only reading a trace belongs here; which addresses and paths are allowed belongs to the tests.
"""

import re
from pathlib import Path

CALLS = (
    "connect,sendto,sendmsg,sendmmsg,open,openat,openat2,creat,mkdir,mkdirat,"
    "rename,renameat,renameat2,link,linkat,symlink,symlinkat"
)
ADDRESS = re.compile(r'sa_family=AF_INET6?, .*?(?:inet_addr\("|inet_pton\(AF_INET6, ")(?P<address>[^"]+)')
OPENED = re.compile(r"^\d+ +(?:open|openat|openat2|creat)\(.* = \d+<(?P<path>[^>]*)>$")
WRITES = re.compile(r"O_CREAT|O_WRONLY|O_RDWR")
PLACED = re.compile(r"^\d+ +(?:mkdir|rename|link|symlink)\w*\((?P<arguments>.*)\) += 0$")
PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<(?P<folder>[^>]*)>, )?"(?P<name>[^"]*)"')


def strace(program: str, trace: Path) -> list[str]:
    """Return the command that traces what follows it, and every process below that, into a file."""
    return [
        program,
        "-D",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-y",
        "-e",
        f"trace={CALLS}",
        "-e",
        "signal=none",
        "-o",
        str(trace),
    ]


def addresses(trace: Path) -> set[str]:
    """Return every IP address that something was sent to, name servers included."""
    with trace.open(errors="replace") as lines:
        return {match["address"] for line in lines if (match := ADDRESS.search(line))}


def written(trace: Path, folder: Path) -> set[str]:
    """Return every path that was opened for writing, made or renamed to.

    Args:
        trace: the trace.
        folder: what relative paths begin at, where the trace does not say it.
    """
    with trace.open(errors="replace") as lines:
        return {path for line in lines if (path := _written(line.rstrip("\n"), folder))}


def _written(line: str, folder: Path) -> str | None:
    if opened := OPENED.match(line):
        return opened["path"] if WRITES.search(line) else None
    if placed := PLACED.match(line):
        *_, last = PATH.finditer(placed["arguments"])
        return str(Path(last["folder"] or folder, last["name"]))
    return None

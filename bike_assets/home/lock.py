"""A home's locks: only one process at a time does each kind of work. What a home is belongs to `record`."""

from collections.abc import Iterator
from contextlib import contextmanager

from bike_assets.errors import BikeError
from bike_assets.home.record import Home


@contextmanager
def hold_lock(home: Home, what: str) -> Iterator[None]:
    """Hold the home's lock of this name while the body runs.

    Raises:
        BikeError: another process holds the lock, or the home cannot be written to.
    """
    from filelock import FileLock, Timeout

    try:
        home.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(home.folder / f".{what}.lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise BikeError(f"Another {what} is running in {home.folder}: wait for it, or end it with Ctrl-C.") from None
    except OSError as error:
        raise BikeError(f"BIKE_HOME={home.folder} cannot be written to: {error.strerror}.") from None
    try:
        yield
    finally:
        lock.release()

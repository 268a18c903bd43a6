"""What every test shares: a home of its own before the package is imported, and the real data where they are."""

import os
import tempfile
from pathlib import Path

_HOME = tempfile.mkdtemp(prefix="bike-tests-")
for _name in [name for name in os.environ if name.startswith("BIKE_") and not name.startswith("BIKE_CI")]:
    del os.environ[_name]
os.environ["BIKE_HOME"] = _HOME

import pytest  # noqa: E402

SHARED_DATA = Path(__file__).parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real counts, which stays outside of the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real counts are not at {SHARED_DATA}")
    return SHARED_DATA

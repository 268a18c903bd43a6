"""Another date for a process of a test and for all processes that it starts.

Their clocks go on at the usual speed. Clocks that only measure durations, and programs not written in Python, keep
the machine's time.
"""

import os
from datetime import UTC, date, datetime, time
from pathlib import Path

FOLDER = Path(__file__).parent / "clock"


def starting_on(day: date) -> dict[str, str]:
    """Return variables for a process whose clock shows noon UTC of a day when it starts."""
    offset = datetime.combine(day, time(12), UTC) - datetime.now(UTC)
    path = os.pathsep.join([str(FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"PYTHONPATH": path, "TESTS_CLOCK_OFFSET": str(offset.total_seconds())}

"""Shift the clock of every Python process that has this folder on its PYTHONPATH, as `shifted_clock` arranges it.

Python imports a module of this name at its start, before the program. Only what it shifts belongs here.
"""

import os
from datetime import UTC, datetime, timedelta

import time_machine

time_machine.travel(datetime.now(UTC) + timedelta(seconds=float(os.environ["TESTS_CLOCK_OFFSET"])), tick=True).start()

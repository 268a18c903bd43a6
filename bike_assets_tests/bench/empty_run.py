"""The child that passes runs are compared with: one op that does nothing, and of the project's code not a line.

It is launched like `work`, with DAGSTER_HOME in the environment, so process start and imports count on both sides.
"""

import json
import sys
import time
from pathlib import Path

import dagster as dg


@dg.op
def nothing() -> None:
    """Do nothing."""


@dg.job(executor_def=dg.in_process_executor)
def empty() -> None:
    """Run one op that does nothing."""
    nothing()


def main() -> None:
    """Run the job once against the instance of DAGSTER_HOME and answer with the seconds of the run."""
    with dg.DagsterInstance.get() as instance:
        began = time.perf_counter()
        empty.execute_in_process(
            instance=instance, run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        )
        seconds = time.perf_counter() - began
    Path(sys.argv[1]).write_text(json.dumps({"run_seconds": seconds}))


if __name__ == "__main__":
    main()

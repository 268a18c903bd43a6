"""The child of the watching part: a year of days behind a home's newest one, and one more day.

Run as `python -m bike_assets_tests.bench.scrapes_work <part> <answer>` in the home that the environment names. The
days are copies of the newest one: their values are not true, but take as long to read.
"""

import argparse
import json
import sqlite3
import uuid
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from bike_assets.core.schemas import Table
    from bike_assets.resources.warehouse import LocalWarehouse

DAYS = 365
TICK_SECONDS = 30
TICKS_KEPT = 7 * 86400 // TICK_SECONDS
"""Of a sensor: looks that found nothing to do are kept for a week."""


def year(_: argparse.Namespace) -> dict[str, Any]:
    """Put a year behind the newest day: forecasts, audit rows, runs and ticks; return their numbers."""
    warehouse, instance = _open()
    for table in _daily_tables():
        newest = _newest(warehouse, table)
        warehouse.merge(table, _copies(table, newest, range(-DAYS, 0)))
    with instance:
        _repeat_runs(instance, DAYS)
        ticks = _repeat_ticks(Path(instance.root_directory), TICKS_KEPT)
        runs = instance.get_runs_count()
    rows = {
        table.full_name: int(warehouse.query(f"SELECT COUNT(*) AS n FROM {table.full_name}")["n"].iloc[0])
        for table in _daily_tables()
    }
    return {"rows": rows, "runs": runs, "ticks": ticks}


def another_day(_: argparse.Namespace) -> dict[str, Any]:
    """Add what a daily pass adds."""
    warehouse, instance = _open()
    for table in _daily_tables():
        warehouse.merge(table, _copies(table, _newest(warehouse, table), [1]))
    with instance:
        _repeat_runs(instance, 1)
    return {}


def _open() -> tuple["LocalWarehouse", Any]:
    import dagster as dg

    from bike_assets.resources.warehouse import LocalWarehouse
    from bike_assets.settings import load_settings

    settings = load_settings()
    folder = settings.home_folder
    return LocalWarehouse(folder / "warehouse"), dg.DagsterInstance.from_config(str(folder / "dagster"))


def _daily_tables() -> list["Table"]:
    from bike_assets.core import schemas

    return [
        schemas.PREDICTIONS,
        schemas.WEATHER,
        schemas.INGESTIONS,
        schemas.PERFORMANCE,
        schemas.DRIFT,
        schemas.RETRAIN_DECISIONS,
    ]


def _day_of(table: "Table") -> str:
    return table.partition or "day"


def _newest(warehouse: "LocalWarehouse", table: "Table") -> "pd.DataFrame":
    day = _day_of(table)
    return warehouse.query(f"SELECT * FROM {table.full_name} WHERE {day} = (SELECT MAX({day}) FROM {table.full_name})")


def _copies(table: "Table", rows: "pd.DataFrame", days: Any) -> "pd.DataFrame":
    """The same rows, moved by some days each."""
    import pandas as pd

    moved = [name for name, kind in table.columns.items() if kind in {"DATE", "TIMESTAMP"}]
    return pd.concat(
        [
            rows.assign(**{name: pd.to_datetime(rows[name]) + timedelta(days=number) for name in moved})
            for number in days
        ],
        ignore_index=True,
    )


def _repeat_runs(instance: Any, number: int) -> None:
    """Let the job daily have run so often, besides."""
    import dagster as dg

    for _ in range(number):
        run = dg.DagsterRun("daily", run_id=str(uuid.uuid4()), status=dg.DagsterRunStatus.SUCCESS)
        instance.run_storage.add_run(run)


def _repeat_ticks(folder: Path, number: int) -> int:
    """Let every sensor have been looked at so often before its newest tick.

    By copies of that tick's row: making one at a time takes minutes.
    """
    with sqlite3.connect(folder / "schedules" / "schedules.db") as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(job_ticks)") if row[1] != "id"]
        earlier = f"strftime('%Y-%m-%d %H:%M:%f000', timestamp, '-' || (i * {TICK_SECONDS}) || ' seconds')"
        copied = ", ".join(earlier if name == "timestamp" else name for name in columns)
        newest = "SELECT MAX(id) FROM job_ticks WHERE type = 'SENSOR' GROUP BY job_origin_id"
        database.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {number}) "
            f"INSERT INTO job_ticks ({', '.join(columns)}) SELECT {copied} FROM job_ticks, n WHERE id IN ({newest})"
        )
        [(count,)] = database.execute("SELECT COUNT(*) FROM job_ticks")
    return int(count)


def main() -> None:
    """Do a part and write the answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts = {each.__name__: each for each in (year, another_day)}
    parser.add_argument("part", choices=parts)
    parser.add_argument("answer", type=Path)
    options = parser.parse_args()
    options.answer.write_text(json.dumps(parts[options.part](options)))


if __name__ == "__main__":
    main()

"""The child that fits one model: makes the rows, or fits a family or the plain forest on them and returns the cost.

Run as `python -m bike_assets_tests.bench.families_work <part> ... <answer>`. The plain forest is the kind of model that
is fitted without lags: 50 trees of depth 20 on the counter, the hour and the month, the count itself as
its target.
"""

import argparse
import json
import pickle
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

PLAIN_FOREST = "plain_forest"
HELD_OUT_DAYS = 28
THREADS = 2
SEED = 20


def make_rows(options: argparse.Namespace) -> dict[str, Any]:
    """Write the feature rows of an export at every horizon beside their counts."""
    from datetime import UTC, datetime

    import pandas as pd

    from bike_assets.commands.backtest import usable_counts
    from bike_assets.core.export_outline import outline_rows
    from bike_assets.core.features import HORIZONS, build_cube, feature_rows
    from bike_assets.core.local_time import days_between
    from bike_assets.core.portal_export import read_export
    from bike_assets.core.splits import Span
    from bike_assets.settings import load_settings

    settings = load_settings()
    published = read_export(options.export, settings.published_form)
    outline = outline_rows(options.export, published, settings.published_form, datetime.now(UTC))
    counts = usable_counts(settings, published, Span(outline.first_day, outline.last_day))
    cube = build_cube(counts, settings.timezone)
    days = days_between(cube.first_day, cube.last_day)
    keys = ["counter_id", "counted_at"]
    parts = [feature_rows(cube, days, horizon, settings.place) for horizon in HORIZONS]
    rows = pd.concat(parts, ignore_index=True).merge(counts[[*keys, "bike_count"]], on=keys)
    rows.astype({"counter_id": "category"}).to_parquet(options.rows)
    return {"counts": len(counts), "counters": len(cube.counters), "rows": len(rows)}


def fit(options: argparse.Namespace) -> dict[str, Any]:
    """Fit one model on all days but the newest, and predict these a day ahead."""
    import pandas as pd

    rows = pd.read_parquet(options.rows).astype({"counter_id": str})
    newest = rows["day"] > rows["day"].max() - pd.Timedelta(days=HELD_OUT_DAYS)
    held_out = rows[newest & (rows["horizon_days"] == 1)]
    rows = rows[~newest]
    work = _fit_plain_forest if options.name == PLAIN_FOREST else _fit_family
    return work(options.name, rows, held_out)


def _fit_family(name: str, rows: "pd.DataFrame", held_out: "pd.DataFrame") -> dict[str, Any]:
    from bike_assets.core.families import FAMILIES, Trained
    from bike_assets.core.families.served import ServedModel

    family = FAMILIES[name](FAMILIES[name].config_type(), SEED, THREADS)
    family.counters = sorted(rows["counter_id"].unique())
    wall, cpu = time.perf_counter(), time.process_time()
    family.fit(rows)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    trained = Trained(family.to_onnx(), family.counters)
    served = ServedModel(trained.onnx, trained.sha256, trained.counters)
    began = time.perf_counter()
    predicted = served.predict(held_out)
    return _answer(cpu, wall, len(trained.onnx), time.perf_counter() - began, held_out, predicted)


def _fit_plain_forest(_: str, rows: "pd.DataFrame", held_out: "pd.DataFrame") -> dict[str, Any]:
    from sklearn.ensemble import RandomForestRegressor

    rows = rows[rows["horizon_days"] == 1]
    counters = sorted(rows["counter_id"].unique())
    inputs, counts = _plain_inputs(rows, counters), rows["bike_count"].to_numpy()
    forest = RandomForestRegressor(n_estimators=50, max_depth=20, n_jobs=THREADS, random_state=SEED)
    wall, cpu = time.perf_counter(), time.process_time()
    forest.fit(inputs, counts)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    size = len(pickle.dumps(forest))
    began = time.perf_counter()
    predicted = forest.predict(_plain_inputs(held_out, counters))
    return _answer(cpu, wall, size, time.perf_counter() - began, held_out, predicted)


def _plain_inputs(rows: "pd.DataFrame", counters: list[str]) -> "np.ndarray":
    import numpy as np
    import pandas as pd

    codes = pd.Index(counters).get_indexer(pd.Index(rows["counter_id"]))
    turns = {"hour": rows["hour"].to_numpy() / 24, "month": (rows["day"].dt.month.to_numpy() - 1) / 12}
    numbers = [
        *(wave(2 * np.pi * turn) for turn in turns.values() for wave in (np.sin, np.cos)),
        *(getattr(rows["day"].dt, part).to_numpy() for part in ("weekday", "day", "year")),
    ]
    out = np.zeros((len(rows), len(counters) + len(numbers)), dtype=np.float32)
    known = codes >= 0
    out[np.flatnonzero(known), codes[known]] = 1
    for position, number in enumerate(numbers, start=len(counters)):
        out[:, position] = number
    return out


def _answer(
    cpu: float, wall: float, size: int, predict_seconds: float, held_out: "pd.DataFrame", predicted: "np.ndarray"
) -> dict[str, Any]:
    from bike_assets.core.scoring import score

    return {
        "run_seconds": wall,
        "fit_cpu_seconds": cpu,
        "model_mib": size / 2**20,
        "rows_per_second": len(held_out) / predict_seconds,
        "rmse": score(held_out["bike_count"], predicted).rmse,
    }


def main() -> None:
    """Do the part that the command line names."""
    options = _parser().parse_args()
    options.answer.write_text(json.dumps(options.part(options)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parts = parser.add_subparsers(required=True)
    rows = parts.add_parser("make-rows")
    rows.add_argument("export", type=Path)
    one = parts.add_parser("fit")
    one.add_argument("name")
    for part, does in ((rows, make_rows), (one, fit)):
        part.add_argument("rows", type=Path)
        part.add_argument("answer", type=Path)
        part.set_defaults(part=does)
    return parser


if __name__ == "__main__":
    main()

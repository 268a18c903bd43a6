"""`bike backtest`: reads an export, runs the backtest, prints the tables and writes the JSON.

Forecasting the days belongs to `core.backtest`.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from bike_assets.core.backtest import NAIVE, Backtest, Refit, run_backtest
from bike_assets.core.export_outline import outline_rows
from bike_assets.core.families import FAMILIES
from bike_assets.core.features import HORIZONS
from bike_assets.core.ingestion import classify_rows
from bike_assets.core.portal_export import read_export
from bike_assets.core.scoring import Scores
from bike_assets.core.splits import Span
from bike_assets.core.weather import read_weather_file
from bike_assets.core.weather_cube import OBSERVED, WeatherCube, build_weather
from bike_assets.errors import BikeError
from bike_assets.settings import Settings
from bike_assets.terminal import console

WITHOUT_WEATHER = "without weather"
WITH_WEATHER = "with weather as observed, which no forecaster knew: an upper bound"


def backtest(
    settings: Settings,
    counts: Path,
    weather: Path | None,
    span: Span,
    families: Sequence[str],
    refit: Refit,
    output: Path | None,
) -> None:
    """Run a backtest, print it, and write it to `output`, if given.

    Raises:
        BikeError: the export or the weather file cannot be used, the range is not in it, or a family does not exist.
    """
    unknown = sorted(set(families) - set(FAMILIES))
    if unknown:
        raise BikeError(f"--families {','.join(unknown)}: no such family; there are {', '.join(FAMILIES)}.")
    published = read_export(counts, settings.published_form)
    outline = outline_rows(counts, published, settings.published_form, datetime.now(UTC))
    first, last = outline.first_day, outline.last_day
    if not first <= span.first <= span.last <= last:
        raise BikeError(f"--from {span.first} --to {span.last} is not a range within {counts}: {first} to {last}.")
    with console.status("reading counts") as status:
        try:
            done = run_backtest(
                usable_counts(settings, published, Span(first, last)), span, families or list(FAMILIES), refit,
                settings.place, settings.seed, settings.threads,
                observed_weather(settings, weather) if weather else None, status.update,
            )  # fmt: skip
        except ValueError as error:
            raise BikeError(f"{counts}: {error}.") from None
    print_backtest(done, span, refit, WITH_WEATHER if weather else WITHOUT_WEATHER)
    if output is not None:
        output.write_text(json.dumps(as_json(done, span, weather is not None), indent=2, allow_nan=False) + "\n")
        console.print(f"\nWritten to {output}")


def usable_counts(settings: Settings, published: pd.DataFrame, span: Span) -> pd.DataFrame:
    """Return the rows that a model may learn from: usable, one per counter and hour, no outliers.

    Args:
        settings: the form of the rows and the bounds of an outlier.
        published: the rows of an export, as `read_export` returns them.
        span: the local days to return.
    """
    nothing = pd.DataFrame({"day": pd.Series(dtype="datetime64[s]"), "counter_id": [], "busiest": []})
    now, rule = datetime.now(UTC), settings.outlier_rule
    reading = classify_rows(span, published, now, nothing, rule, settings.published_form)
    rows = reading.rows[~reading.rows["is_outlier"]]
    return rows.astype({"counter_id": str})


def observed_weather(settings: Settings, path: Path) -> WeatherCube | None:
    """Return a file's weather as observed. No forecaster knew it."""
    return build_weather(read_weather_file(path).assign(lead_days=OBSERVED), settings.timezone)


def as_json(done: Backtest, span: Span, with_weather: bool) -> dict[str, Any]:
    """Return the figures for the JSON file; null for what cannot be scored."""
    return {
        "families": {name: _family_json(done, name) for name in done.results},
        "rows": len(done.rows),
        "from": span.first.isoformat(),
        "to": span.last.isoformat(),
        "weather": "observed" if with_weather else "none",
    }


def _family_json(done: Backtest, name: str) -> dict[str, Any]:
    result, slices = done.results[name], done.slices()
    seconds = result.predict_seconds
    return {
        **_figures(done.scores(name)),
        "by_horizon": {
            str(horizon): _figures(done.scores(name, done.rows["horizon_days"] == horizon)) for horizon in HORIZONS
        },
        "new_counters": _figures(done.scores(name, slices["new"])),
        "holidays": _figures(done.scores(name, slices["holidays"])),
        "fit_cpu_seconds": round(result.fit_cpu_seconds, 3),
        "predict_rows_per_second": round(len(done.rows) / seconds) if seconds else None,
    }


def _figures(scores: Scores) -> dict[str, float | int | None]:
    return {key: None if pd.isna(value) else value for key, value in scores.as_row().items()}


def print_backtest(done: Backtest, span: Span, refit: Refit, weather: str) -> None:
    """Print a table of all rows, and one of R² and one of RMSE by slice."""
    names = [*(name for name in FAMILIES if name in done.results), NAIVE]
    console.print(
        f"\n[bold]Backtest[/]   {span.first} to {span.last}, {len(done.rows):,} forecasts, refitted {refit}; "
        f"{len(done.holidays)} public holidays; {weather}"
    )
    table = _table("all horizons", "R²", "RMSE", "MAE", "CPU s", "rows/s")
    for name in names:
        scores, result = done.scores(name), done.results[name]
        speed = f"{len(done.rows) / result.predict_seconds:,.0f}" if result.predict_seconds else ""
        cpu = f"{result.fit_cpu_seconds:.1f}" if result.fit_cpu_seconds else ""
        table.add_row(name, f"{scores.r2:.4f}", f"{scores.rmse:.2f}", f"{scores.mae:.2f}", cpu, speed)
    console.print(table)
    for title, metric, form in (("R²", "r2", ".4f"), ("RMSE", "rmse", ".2f")):
        parts = _table(title, *done.slices())
        for name in names:
            cells = [done.scores(name, chosen) for chosen in done.slices().values()]
            parts.add_row(name, *(f"{getattr(each, metric):{form}}" if each.n else "-" for each in cells))
        console.print(parts)


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right")
    return table

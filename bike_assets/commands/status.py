"""The state of a home: `bike status`, and the summary after a pass. It only reads, and imports no Dagster."""

from datetime import date
from typing import Any

from rich.markup import escape
from rich.table import Table

from bike_assets.core.local_time import as_date
from bike_assets.core.summary import ModelEntry, champion_card
from bike_assets.home.record import recorded_home
from bike_assets.resources.profiles import open_registry, open_warehouse
from bike_assets.resources.queries.counts import rejected_rows_by_problem, row_totals, stored_counts
from bike_assets.resources.queries.decisions import newest_decision, newest_drift
from bike_assets.resources.queries.evaluations import first_of_version
from bike_assets.resources.queries.performance import newest_champion_scores
from bike_assets.resources.queries.predictions import busiest_counters, newest_issue, stored_forecasts
from bike_assets.resources.queries.weather import newest_observed
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings
from bike_assets.terminal import console, plain_table

PARTS = ("source", "raw_counts", "weather", "champion", "predictions", "performance", "drift", "decision")

PERFORMANCE = ("day", "r2", "rmse", "mae", "n", "naive_r2", "first_champion_r2")


def collect_status(settings: Settings) -> dict[str, Any]:
    """Return the state of the home in the settings, ready for JSON; null for what does not exist yet.

    Raises:
        BikeError: the home's records cannot be read, or the settings name another source.
    """
    home = recorded_home(settings)
    if home is None:
        return dict.fromkeys(PARTS)
    warehouse = open_warehouse(settings)
    champion = open_registry(settings).read().champion
    return {
        "source": home.source,
        "raw_counts": _with_plain_days(stored_counts(warehouse, home.first_day)),
        "weather": _with_plain_days(newest_observed(warehouse, home.first_day)),
        "champion": champion_card(champion) if champion else None,
        "predictions": _with_plain_days(stored_forecasts(warehouse, home.first_day)),
        "performance": _with_plain_days(_pick(newest_champion_scores(warehouse), *PERFORMANCE)),
        "drift": _with_plain_days(_drift(warehouse)),
        "decision": _with_plain_days(_pick(newest_decision(warehouse), "day", "decision", "reason")),
    }


def _drift(warehouse: Warehouse) -> dict[str, Any] | None:
    row = newest_drift(warehouse)
    if row is None:
        return None
    columns = [name for name in (row["drifted_columns"] or "").split(", ") if name]
    return {"day": row["day"], "share": row["drift_share"], "columns": columns}


def _pick(row: dict[str, Any] | None, *names: str) -> dict[str, Any] | None:
    return row and {name: row[name] for name in names}


def _with_plain_days(row: dict[str, Any] | None) -> dict[str, Any] | None:
    return row and {name: _plain(name, value) for name, value in row.items()}


def _plain(name: str, value: Any) -> Any:
    is_day = name == "day" or name.endswith(("_day", "_on"))
    return as_date(value).isoformat() if is_day and value is not None else value


def naive_scores(settings: Settings) -> dict[str, Any]:
    """Return the seasonal naive's r2_baseline and r2_current on the rows of the champion's evaluation, if any."""
    found = _champion_and_warehouse(settings)
    if found is None:
        return {}
    champion, warehouse = found
    row = first_of_version(warehouse, champion.version)
    return {name: row[f"naive_{name}"] for name in ("r2_baseline", "r2_current")} if row else {}


def describe_rows(settings: Settings) -> str | None:
    """Return what became of every published row, in words; None if nothing was read."""
    if recorded_home(settings) is None:
        return None
    warehouse = open_warehouse(settings)
    totals, rejected = row_totals(warehouse), rejected_rows_by_problem(warehouse)
    if not totals["rows_read"]:
        return None
    parts = [f"{totals['rows_kept']:,} kept"]
    if totals["rows_summed"]:
        parts.append(f"{totals['rows_summed']:,} added to another row")
    if totals["rows_duplicated"]:
        parts.append(f"{totals['rows_duplicated']:,} doubled")
    parts += [f"{number:,} rejected ({problem})" for problem, number in rejected.items()]
    where = "; rejected_counts lists each rejected row" if rejected else ""
    return f"{totals['rows_read']:,} read: {', '.join(parts)}{where}"


def busiest_forecasts(settings: Settings, counters: int = 3) -> dict[str, Any] | None:
    """Return the newest forecast of the next full day for the busiest counters: day, and rows of name and bikes."""
    found = _champion_and_warehouse(settings)
    if found is None:
        return None
    champion, warehouse = found
    newest = newest_issue(warehouse, champion.version, date.fromisoformat(champion.trained_until))
    if newest is None:
        return None
    rows = busiest_counters(warehouse, newest, champion.version, counters)
    if rows.empty:
        return None
    return {"day": as_date(rows["day"].iloc[0]), "rows": rows.to_dict("records")}


def _champion_and_warehouse(settings: Settings) -> tuple[ModelEntry, Warehouse] | None:
    """Return the champion and the warehouse of its home; None if there is no champion yet."""
    home = recorded_home(settings)
    champion = open_registry(settings).read().champion if home else None
    return (champion, open_warehouse(settings)) if home and champion else None


def print_summary(status: dict[str, Any], naive: dict[str, Any], forecast: dict[str, Any] | None) -> None:
    """Print the state of a home.

    Args:
        status: as `collect_status` returns it.
        naive: as `naive_scores` returns it.
        forecast: as `busiest_forecasts` returns it.
    """
    counts, champion = status["raw_counts"], status["champion"]
    console.print()
    if counts:
        console.print(
            f"[bold]Counts[/]     {counts['rows']:,} rows, {counts['days']} days "
            f"({counts['first_day']} to {counts['last_day']}), {counts['counters']} counters"
        )
    if status["weather"]:
        weather = status["weather"]
        console.print(f"[bold]Weather[/]    observed to {weather['last_day']}, from {escape(weather['source'])}")
    if champion:
        console.print(
            f"[bold]Champion[/]   version {champion['version']}, {champion['family']}, "
            f"promoted on {champion['promoted_on']}"
        )
        console.print(_scores(status, naive))
    if status["drift"]:
        share, columns = status["drift"]["share"], ", ".join(status["drift"]["columns"]) or "none"
        drift = "not enough data" if share is None else f"share {share:.2f} (drifted columns: {columns})"
        console.print(f"[bold]Drift[/]      {drift}, 7 days to {status['drift']['day']}")
    if status["decision"]:
        decision = status["decision"]
        console.print(f"[bold]Decision[/]   {decision['decision']} on {decision['day']}: {decision['reason']}")
    if forecast:
        console.print(_forecast_table(forecast))


def _scores(status: dict[str, Any], naive: dict[str, Any]) -> Table:
    champion, week = status["champion"], status["performance"]
    table = plain_table()
    table.add_column("R², day ahead")
    table.add_column("champion", justify="right")
    table.add_column("seasonal naive", justify="right")
    table.add_column("first champion, never retrained", justify="right")
    for label, name in (("test_baseline", "r2_baseline"), ("test_current", "r2_current")):
        table.add_row(label, f"{champion[name]:.4f}", _number(naive.get(name)), "")
    if week:
        table.add_row(
            f"7 days to {week['day']}",
            _number(week["r2"]),
            _number(week["naive_r2"]),
            _number(week["first_champion_r2"]),
        )
    return table


def _forecast_table(forecast: dict[str, Any]) -> Table:
    table = plain_table(f"Forecast of {forecast['day']:%A} {forecast['day']}, busiest counters")
    table.add_column("counter")
    table.add_column("bikes that day", justify="right")
    table.add_column("busiest hour", justify="right")
    for row in forecast["rows"]:
        name = escape(row["counter_name"] or row["counter_id"])
        table.add_row(name, f"{row['bikes']:,.0f}", f"{row['busiest_hour']:,.0f}")
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"

"""The state of a home: `bike status`, and the summary after a pass. It only reads, and imports no Dagster."""

from datetime import date
from typing import Any

from rich.markup import escape
from rich.table import Table

from bike_assets.core.local_time import as_date
from bike_assets.core.summary import ModelEntry, champion_card
from bike_assets.home.record import Home, recorded_home
from bike_assets.resources.profiles import open_registry, open_warehouse
from bike_assets.resources.table_rows import one_row
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings
from bike_assets.terminal import console, plain_table

PARTS = ("source", "raw_counts", "weather", "champion", "predictions", "performance", "drift", "decision")


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
        "raw_counts": _raw_counts(warehouse, home),
        "weather": _weather(warehouse, home),
        "champion": champion_card(champion) if champion else None,
        "predictions": _predictions(warehouse, home),
        "performance": _performance(warehouse),
        "drift": _drift(warehouse),
        "decision": _decision(warehouse),
    }


def _raw_counts(warehouse: Warehouse, home: Home) -> dict[str, Any] | None:
    row = _row(
        warehouse,
        "SELECT COUNT(*) AS `rows`, COUNT(DISTINCT day) AS days, MIN(day) AS first_day, MAX(day) AS last_day, "
        "COUNT(DISTINCT counter_id) AS counters FROM bike_traffic_raw.comptage_velo WHERE day >= @first",
        first=home.first_day,
    )
    return row if row and row["rows"] else None


def _weather(warehouse: Warehouse, home: Home) -> dict[str, Any] | None:
    return _row(
        warehouse,
        "SELECT day AS last_day, MAX(source) AS source FROM bike_traffic_raw.weather "
        "WHERE day >= @first AND lead_days = 0 GROUP BY day ORDER BY day DESC LIMIT 1",
        first=home.first_day,
    )


def _predictions(warehouse: Warehouse, home: Home) -> dict[str, Any] | None:
    row = _row(
        warehouse,
        "SELECT COUNT(*) AS `rows`, MAX(issued_on) AS last_issued_on FROM bike_traffic_predictions.predictions "
        "WHERE issued_on >= @first",
        first=home.first_day,
    )
    return row if row and row["rows"] else None


def _performance(warehouse: Warehouse) -> dict[str, Any] | None:
    return _row(
        warehouse,
        "SELECT champion.day, champion.r2, champion.rmse, champion.mae, champion.n, naive.r2 AS naive_r2, "
        "first_champion.r2 AS first_champion_r2 "
        "FROM monitoring_audit.newest_performance_metrics AS champion "
        "LEFT JOIN monitoring_audit.newest_performance_metrics AS naive "
        "ON naive.day = champion.day AND naive.horizon_days = 1 AND naive.role = 'seasonal_naive' "
        "LEFT JOIN monitoring_audit.newest_performance_metrics AS first_champion ON first_champion.day = champion.day "
        "AND first_champion.horizon_days = 1 AND first_champion.role = 'first_champion' "
        "WHERE champion.role = 'champion' AND champion.horizon_days = 1 ORDER BY champion.day DESC LIMIT 1",
    )


def _drift(warehouse: Warehouse) -> dict[str, Any] | None:
    row = _row(
        warehouse,
        "SELECT day, drift_share AS share, drifted_columns AS columns FROM monitoring_audit.newest_drift_metrics "
        "ORDER BY day DESC LIMIT 1",
    )
    return row and {**row, "columns": [name for name in (row["columns"] or "").split(", ") if name]}


def _decision(warehouse: Warehouse) -> dict[str, Any] | None:
    return _row(
        warehouse,
        "SELECT day, decision, reason FROM monitoring_audit.newest_retrain_decisions ORDER BY day DESC LIMIT 1",
    )


def _row(warehouse: Warehouse, sql: str, **parameters: Any) -> dict[str, Any] | None:
    row = one_row(warehouse.query(sql, **parameters))
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
    row = _row(
        warehouse,
        "SELECT naive_r2_baseline AS r2_baseline, naive_r2_current AS r2_current "
        "FROM monitoring_audit.evaluations WHERE challenger_version = @version "
        "ORDER BY recorded_at LIMIT 1",
        version=champion.version,
    )
    return row or {}


def count_rejected_rows(settings: Settings) -> int:
    """Return the number of published rows that could not be used: all rows of `rejected_counts`."""
    home = recorded_home(settings)
    if home is None:
        return 0
    row = one_row(open_warehouse(settings).query("SELECT COUNT(*) AS left_out FROM bike_traffic_raw.rejected_counts"))
    return int(row["left_out"] or 0) if row else 0


def busiest_forecasts(settings: Settings, counters: int = 3) -> dict[str, Any] | None:
    """Return the newest forecast of the next full day for the busiest counters: day, and rows of name and bikes."""
    found = _champion_and_warehouse(settings)
    if found is None:
        return None
    champion, warehouse = found
    newest = warehouse.query(
        "SELECT MAX(issued_on) AS day FROM bike_traffic_predictions.predictions "
        "WHERE issued_on >= @trained AND model_version = @version HAVING MAX(issued_on) IS NOT NULL",
        trained=date.fromisoformat(champion.trained_until),
        version=champion.version,
    )
    if newest.empty:
        return None
    rows = warehouse.query(
        "SELECT p.day, c.counter_name, p.counter_id, SUM(p.predicted_count) AS bikes, "
        "MAX(p.predicted_count) AS busiest_hour FROM bike_traffic_predictions.predictions AS p "
        "JOIN bike_traffic_raw.counters AS c ON c.counter_id = p.counter_id "
        "WHERE p.issued_on = @newest AND p.model_version = @version AND p.horizon_days = 1 "
        "GROUP BY p.day, c.counter_name, p.counter_id ORDER BY bikes DESC LIMIT @counters",
        newest=as_date(newest["day"].iloc[0]),
        version=champion.version,
        counters=counters,
    )
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

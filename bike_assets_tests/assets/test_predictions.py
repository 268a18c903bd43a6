"""Forecasts as issued: what they cover, and that they never change afterwards."""

from datetime import timedelta

import dagster as dg
import pandas as pd

from bike_assets.core.schemas import COMPTAGE_VELO
from bike_assets_tests.conftest import LAST_DAY, City

ISSUED = "SELECT * FROM bike_traffic_predictions.predictions WHERE issued_on = @day ORDER BY counter_id, counted_at"


def forecast_again(city: City, day) -> None:
    assert city.run("daily", day, asset_selection=[dg.AssetKey("predictions")]).success


def test_a_forecast_covers_three_days_every_hour_and_every_counter(city: City):
    rows = city.query(ISSUED, day=LAST_DAY)
    assert len(rows) == 6 * 3 * 24
    assert set(rows["horizon_days"]) == {1, 2, 3}
    assert rows["predicted_count"].ge(0).all()
    assert rows["known_counter"].all()


def test_issued_rows_do_not_change_when_the_counts_are_corrected(city: City):
    before = city.query(ISSUED, day=LAST_DAY)
    counts = city.query("SELECT * FROM bike_traffic_raw.comptage_velo WHERE day = @day", day=LAST_DAY)
    city.resource("warehouse").merge(COMPTAGE_VELO, counts.assign(bike_count=counts["bike_count"] * 3))
    forecast_again(city, LAST_DAY)
    pd.testing.assert_frame_equal(city.query(ISSUED, day=LAST_DAY), before)


def test_a_counter_that_training_never_saw_is_forecast_and_marked(city: City):
    counts = city.query(
        "SELECT * FROM bike_traffic_raw.comptage_velo WHERE day > @day", day=LAST_DAY - timedelta(days=6)
    )
    new = counts[counts["counter_id"] == counts["counter_id"].min()].assign(counter_id="brand-new")
    city.resource("warehouse").merge(COMPTAGE_VELO, new)
    forecast_again(city, LAST_DAY)
    rows = city.query(ISSUED, day=LAST_DAY)
    assert not rows.loc[rows["counter_id"] == "brand-new", "known_counter"].any()
    assert (rows["counter_id"] == "brand-new").sum() == 3 * 24


def test_without_a_champion_the_run_fails_with_the_reason(tmp_path, open_city):
    young = open_city(tmp_path)
    result = young.run("daily", LAST_DAY, asset_selection=[dg.AssetKey("predictions")], raise_on_error=False)
    failure = next(event for event in result.all_events if event.is_step_failure)
    assert "no champion" in failure.event_specific_data.user_failure_data.description

"""`bike backtest` on a small export: the figures as JSON, and refusals that name what is wrong."""

import json
from datetime import date

import numpy as np
import pandas as pd
import pytest

from bike_assets.commands.backtest import backtest
from bike_assets.core.splits import Span
from bike_assets.errors import BikeError
from bike_assets.settings import Settings
from bike_assets_tests.export_files import city_counts, write_export

FIRST, LAST = date(2025, 3, 1), date(2025, 5, 31)
SPAN = Span(date(2025, 5, 20), date(2025, 5, 31))


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    return write_export(tmp_path_factory.mktemp("export") / "counts.csv", city_counts(FIRST, LAST))


def test_the_json_has_every_figure_by_family_and_horizon(export, tmp_path, capsys):
    backtest(Settings(home=tmp_path), export, None, SPAN, ["gradient_boosting"], "never", tmp_path / "out.json")
    figures = json.loads((tmp_path / "out.json").read_text())
    assert (figures["from"], figures["to"]) == ("2025-05-20", "2025-05-31")
    assert 4000 < figures["rows"] <= 12 * 24 * 6 * 3
    assert set(figures["families"]) == {"gradient_boosting", "seasonal_naive"}
    boosting = figures["families"]["gradient_boosting"]
    assert set(boosting["by_horizon"]) == {"1", "2", "3"}
    assert boosting["by_horizon"]["1"]["n"] == figures["rows"] / 3
    assert boosting["fit_cpu_seconds"] > 0
    assert boosting["predict_rows_per_second"] > 0
    assert figures["families"]["seasonal_naive"]["predict_rows_per_second"] is None
    assert boosting["new_counters"]["r2"] is None
    shown = capsys.readouterr().out
    assert "gradient_boosting" in shown
    assert "seasonal_naive" in shown


def test_weather_is_read_from_its_file_and_labelled_an_upper_bound(export, tmp_path, capsys):
    hours = pd.date_range("2025-02-20", "2025-06-01", freq="h", tz="UTC")
    random = np.random.default_rng(1)
    weather = pd.DataFrame(
        {
            "at": [hour.isoformat() for hour in hours],
            "temperature_c": random.normal(12, 5, len(hours)),
            "rain_mm": random.gamma(0.2, 1, len(hours)),
            "wind_mps": random.gamma(2, 2, len(hours)),
            "cloud_pct": random.uniform(0, 100, len(hours)),
        }
    )
    weather.to_csv(tmp_path / "weather.csv", index=False)
    figures = []
    for file in (None, tmp_path / "weather.csv"):
        backtest(Settings(home=tmp_path), export, file, SPAN, ["gradient_boosting"], "never", tmp_path / "out.json")
        figures.append(json.loads((tmp_path / "out.json").read_text()))
    assert [each["weather"] for each in figures] == ["none", "observed"]
    assert figures[0]["rows"] == figures[1]["rows"]
    assert figures[0]["families"]["seasonal_naive"] == figures[1]["families"]["seasonal_naive"]
    assert figures[0]["families"]["gradient_boosting"]["rmse"] != figures[1]["families"]["gradient_boosting"]["rmse"]
    assert "upper bound" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.parametrize(
    ("span", "families", "message"),
    [
        (SPAN, ["gradient_bosting"], "gradient_bosting: no such family; there are random_forest"),
        (Span(date(2025, 5, 20), date(2025, 6, 30)), [], "is not a range within"),
        (Span(date(2025, 5, 20), date(2025, 5, 10)), [], "is not a range within"),
        (Span(date(2025, 3, 2), date(2025, 5, 10)), ["gradient_boosting"], "no rows to fit on"),
    ],
)
def test_an_impossible_backtest_is_refused_with_its_reason(export, tmp_path, span, families, message):
    with pytest.raises(BikeError, match=message):
        backtest(Settings(home=tmp_path), export, None, span, families, "never", tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()

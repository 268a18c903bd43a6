"""`bike backtest` on a small export: the figures as JSON, and refusals that name what is wrong."""

import json
from datetime import date

import pytest

from bike_assets.backtesting import backtest
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
    backtest(Settings(home=tmp_path), export, SPAN, ["gradient_boosting"], "never", tmp_path / "out.json")
    told = json.loads((tmp_path / "out.json").read_text())
    assert (told["from"], told["to"]) == ("2025-05-20", "2025-05-31")
    assert 4000 < told["rows"] <= 12 * 24 * 6 * 3
    assert set(told["families"]) == {"gradient_boosting", "seasonal_naive"}
    boosting = told["families"]["gradient_boosting"]
    assert set(boosting["by_horizon"]) == {"1", "2", "3"}
    assert boosting["by_horizon"]["1"]["n"] == told["rows"] / 3
    assert boosting["fit_cpu_seconds"] > 0
    assert boosting["predict_rows_per_second"] > 0
    assert told["families"]["seasonal_naive"]["predict_rows_per_second"] is None
    assert boosting["new_counters"]["r2"] is None
    shown = capsys.readouterr().out
    assert "gradient_boosting" in shown
    assert "seasonal_naive" in shown


@pytest.mark.parametrize(
    ("span", "families", "said"),
    [
        (SPAN, ["gradient_bosting"], "gradient_bosting: no such family; there are random_forest"),
        (Span(date(2025, 5, 20), date(2025, 6, 30)), [], "is not a range within"),
        (Span(date(2025, 5, 20), date(2025, 5, 10)), [], "is not a range within"),
        (Span(date(2025, 3, 2), date(2025, 5, 10)), ["gradient_boosting"], "no rows to fit on"),
    ],
)
def test_what_cannot_be_done_is_named(export, tmp_path, span, families, said):
    with pytest.raises(BikeError, match=said):
        backtest(Settings(home=tmp_path), export, span, families, "never", tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()

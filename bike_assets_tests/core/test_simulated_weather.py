"""The weather of the synthetic city: deterministic, of a kind with its counts, and worse forecast the earlier."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from bike_assets.core.local_time import local_days
from bike_assets.core.simulated_weather import SimulatedWeather, weather_effect
from bike_assets.core.simulation import SimulatedCity

PARIS, FRANCE = "Europe/Paris", "FR"
SEEDS = (7, 20)
FIRST, LAST = date(2025, 1, 1), date(2025, 12, 31)
DAY = timedelta(days=1)
COLUMNS = ["temperature", "rain", "wind", "cloud"]


@pytest.fixture(scope="module", params=SEEDS)
def weather(request) -> SimulatedWeather:
    return SimulatedWeather(request.param, PARIS)


@pytest.fixture(scope="module")
def year(weather) -> pd.DataFrame:
    return weather.hours(FIRST, LAST)


@pytest.fixture(scope="module")
def days(weather, year) -> pd.DataFrame:
    """The year by local day, with what each day does to counts, and how much warmer it is than those around it."""
    how = {"temperature": "mean", "rain": "sum", "wind": "mean", "cloud": "mean"}
    rows = year.groupby(local_days(year["at"], PARIS)).agg(how).iloc[1:-1]
    usual = rows["temperature"].rolling(31, center=True, min_periods=1).mean()
    effect = [weather_effect(weather.seed, day.date()) for day in rows.index]
    return rows.assign(effect=effect, warmth=rows["temperature"] - usual)


def test_its_form_is_one_row_an_hour_of_utc_days(weather):
    rows = weather.hours(date(2025, 3, 29), date(2025, 3, 31))
    assert list(rows.columns) == ["at", *COLUMNS]
    assert str(rows["at"].dtype) == "datetime64[us, UTC]"
    assert set(rows[COLUMNS].dtypes.astype(str)) == {"float64"}
    assert rows["at"].tolist() == list(pd.date_range("2025-03-29", "2025-03-31T23:00", freq="h", tz="UTC"))


@pytest.mark.parametrize("zone", [PARIS, "Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC"])
def test_an_hour_is_the_same_in_every_requested_range(zone):
    weather = SimulatedWeather(7, zone)
    wide = weather.hours(date(2025, 3, 20), date(2025, 4, 10)).set_index("at")
    for first, last in ((date(2025, 3, 30), date(2025, 3, 30)), (date(2025, 3, 20), date(2025, 4, 1))):
        alone = weather.hours(first, last).set_index("at")
        pd.testing.assert_frame_equal(wide.loc[alone.index], alone, check_freq=False)


def test_another_seed_has_other_weather():
    one, other = (SimulatedWeather(seed, PARIS).hours(FIRST, FIRST) for seed in SEEDS)
    assert all(not one[name].equals(other[name]) for name in ("temperature", "wind", "cloud"))


def test_it_is_like_weather(year, days):
    assert year[COLUMNS].notna().all(axis=None)
    assert year["temperature"].between(-20, 42).all()
    assert year["rain"].between(0, 20).all()
    assert year["wind"].between(0, 25).all()
    assert year["cloud"].between(0, 100).all()
    assert 150 < year["rain"].sum() < 1200, "mm in a year"
    assert 0.15 < (days["rain"] > 0.5).mean() < 0.5
    assert year.loc[year["rain"] > 0, "cloud"].min() >= 70


def test_it_has_seasons_afternoons_and_spells(year, days):
    assert days.loc["2025-07", "temperature"].mean() > days.loc["2025-01", "temperature"].mean() + 10
    local = year["at"].dt.tz_convert(PARIS).dt.hour
    by_hour = year.groupby(local)["temperature"].mean()
    assert by_hour.idxmax() in {14, 15, 16}
    assert by_hour.idxmin() in {2, 3, 4}
    assert days["warmth"].autocorr(1) > 0.5
    assert days["cloud"].autocorr(1) > 0.3


def test_nothing_leaps_from_one_hour_to_the_next_nor_at_midnight(year):
    steps = year[["temperature", "wind"]].diff().abs().max()
    assert steps["temperature"] < 2.5
    assert steps["wind"] < 2.5


def test_the_bad_days_of_the_counts_are_wet_windy_grey_and_cold_for_the_season(days):
    correlations = {name: np.corrcoef(days["effect"], days[name])[0, 1] for name in ("rain", "wind", "cloud", "warmth")}
    assert correlations["rain"] < -0.6
    assert correlations["wind"] < -0.7
    assert correlations["cloud"] < -0.7
    assert 0.5 < correlations["warmth"] < 0.9, "warmth has spells of its own"
    worst, best = (days[days["effect"].rank(pct=True).between(*share)] for share in ((0, 0.1), (0.9, 1)))
    assert (worst["rain"] > 0.5).mean() > 0.9
    assert (best["rain"] > 0.5).mean() < 0.1


def test_the_counts_themselves_are_lower_on_days_that_are_wetter_than_a_week_before(weather, days):
    counts = SimulatedCity(weather.seed, 10, PARIS, FRANCE).counts(date(2025, 2, 3), date(2025, 6, 29))
    means = np.log(counts.groupby(local_days(counts["counted_at"], PARIS))["bike_count"].mean())
    rain = days["rain"].reindex(means.index)
    wetter, change = rain.diff(7) > 2, means.diff(7)
    drier = rain.diff(7) < -2
    assert wetter.sum() > 10
    assert change[wetter].mean() < -0.04
    assert change[drier].mean() > 0.04


def test_the_counts_of_a_city_are_those_that_homes_have_recorded():
    city = SimulatedCity(7, 10, PARIS, FRANCE)
    days = (date(2025, 1, 13), date(2025, 3, 4), date(2025, 6, 17))
    assert [int(city.counts(day, day)["bike_count"].sum()) for day in days] == [10_125, 11_224, 13_958]


def test_a_forecast_equals_the_weather_up_to_today(weather):
    today = date(2025, 5, 10)
    forecast = weather.forecast(today - 3 * DAY, today + DAY, today).set_index("at")
    truth = weather.hours(today - 3 * DAY, today + DAY).set_index("at")
    known = truth.index < pd.Timestamp(today + DAY, tz="UTC")
    pd.testing.assert_frame_equal(forecast[known], truth[known])
    assert not forecast[~known]["temperature"].equals(truth[~known]["temperature"])


def errors(weather: SimulatedWeather, lead: int) -> pd.Series:
    """The root mean square error of each column over many forecasts of one lead."""
    targets = [FIRST + timedelta(days=3 * number) for number in range(120)]
    forecast = pd.concat([weather.forecast(day, day, day - lead * DAY) for day in targets])
    truth = pd.concat([weather.hours(day, day) for day in targets])
    return np.sqrt(((forecast[COLUMNS] - truth[COLUMNS]) ** 2).mean())


def test_a_forecast_is_worse_the_earlier_it_is(weather):
    one, three, ten = (errors(weather, lead) for lead in (1, 3, 10))
    assert (one > 0).all()
    assert (one < three).all()
    assert (three < ten).all()
    assert 0.4 < one["temperature"] < 1.2, "°C a day ahead"


def test_a_forecast_is_weather_too_and_rain_is_neither_lost_nor_invented(weather, year):
    parts = [weather.forecast(day, day, day - 3 * DAY) for day in pd.date_range(FIRST, LAST).date]
    rows = pd.concat(parts, ignore_index=True)
    assert (rows[["rain", "wind"]] >= 0).all(axis=None)
    assert rows["cloud"].between(0, 100).all()
    assert 0.7 < rows["rain"].sum() / year["rain"].sum() < 3
    dry, foretold = year["rain"] == 0, rows["rain"] == 0
    assert (dry & ~foretold).any()


def test_a_forecast_is_always_the_same_for_an_hour_and_a_lead(weather):
    today, target = date(2025, 5, 10), date(2025, 5, 14)
    alone = weather.forecast(target, target, today)
    wide = weather.forecast(today, today + 16 * DAY, today)
    pd.testing.assert_frame_equal(wide[wide["at"].isin(alone["at"])].reset_index(drop=True), alone)
    later = weather.forecast(target, target, today + DAY)
    assert not later["temperature"].equals(alone["temperature"])

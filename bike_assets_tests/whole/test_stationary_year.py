"""Drift over a year of a simulated city in which nothing is wrong, and after a level shift. Figures are printed."""

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from bike_assets.core.decisions import RetrainDecision, RetrainRule, WeekFigures, decide_retrain
from bike_assets.core.drift import SAMPLE_ROWS, Drift, measure_drift, pick_reference, week_to
from bike_assets.core.families.gradient_boosting import GradientBoosting, GradientBoostingConfig
from bike_assets.core.families.served import ServedModel
from bike_assets.core.features import FEATURES, HORIZONS, SEASONAL, build_cube, feature_rows, history_start
from bike_assets.core.local_time import days_between, utc_bounds
from bike_assets.core.place import Place
from bike_assets.core.scoring import score
from bike_assets.core.simulated_weather import SimulatedWeather
from bike_assets.core.simulation import SimulatedCity
from bike_assets.core.splits import Span, SplitRule, cut_baseline, cut_current
from bike_assets.core.weather_cube import OBSERVED, WeatherCube, build_weather

pytestmark = pytest.mark.verify
PARIS, FRANCE = "Europe/Paris", "FR"
PLACE = Place(FRANCE, PARIS)
SEED, COUNTERS = 20, 16
HISTORY = Span(date(2024, 6, 1), date(2025, 6, 30))
"""Thirteen months, as a new home has; a counter opens in the year after them."""
WEEK_ENDS = [HISTORY.last + timedelta(weeks=number) for number in range(1, 53)]
SHIFT, SHIFT_DAYS = 1.3, 3
SHIFT_STARTS = [date(2025, 7, 22), date(2025, 9, 13), date(2025, 11, 9), date(2026, 2, 17), date(2026, 4, 16)]
RULE = RetrainRule()


@dataclass(frozen=True)
class Year:
    """A city's counts, what is known of them a day ahead, and a champion that was fitted once, at bootstrap."""

    counts: pd.DataFrame
    weather: WeatherCube
    champion: ServedModel
    rows: pd.DataFrame
    places: pd.DataFrame

    def rows_of(self, counts: pd.DataFrame, span: Span) -> pd.DataFrame:
        """The forecasts of some days a day ahead, beside their counts."""
        rows = counted_rows(counts, days_between(span.first, span.last), (1,), self.weather)
        return rows.assign(predicted_count=self.champion.predict(rows))

    def drift_to(self, day: date, week: pd.DataFrame) -> Drift:
        """Our rule."""
        reference = pick_reference(day, HISTORY.first)
        assert reference is not None
        return measure_drift(week, within(self.rows, reference.span), SEED)


def within(rows: pd.DataFrame, span: Span) -> pd.DataFrame:
    return rows[rows["day"].between(pd.Timestamp(span.first), pd.Timestamp(span.last))]


def counted_rows(
    counts: pd.DataFrame, days: list[date], horizons: tuple[int, ...], weather: WeatherCube
) -> pd.DataFrame:
    cube = build_cube(counts, PARIS)
    rows = pd.concat([feature_rows(cube, days, horizon, PLACE, weather) for horizon in horizons])
    return rows.merge(counts[["counter_id", "counted_at", "bike_count"]], on=["counter_id", "counted_at"])


def bootstrapped(counts: pd.DataFrame, weather: WeatherCube) -> ServedModel:
    """Fit a champion on the days that a bootstrap at the end of the history has it learn from."""
    baseline = cut_baseline(HISTORY, SplitRule())
    assert baseline is not None
    spans = (baseline.train, cut_current(baseline, HISTORY.last)[0])
    days = [day for span in spans for day in days_between(span.first, span.last)]
    rows = counted_rows(counts, days, HORIZONS, weather).astype({"horizon_days": "int64"})
    family = GradientBoosting(GradientBoostingConfig(), SEED, 2)
    family.counters = sorted(rows["counter_id"].unique())
    family.fit(rows)
    onnx = family.to_onnx()
    return ServedModel(onnx, hashlib.sha256(onnx).hexdigest(), family.counters)


@pytest.fixture(scope="module")
def year() -> Year:
    whole = Span(HISTORY.first, WEEK_ENDS[-1])
    counts = SimulatedCity(SEED, COUNTERS, PARIS, FRANCE).counts(whole.first, whole.last)
    day = timedelta(days=1)
    hours = SimulatedWeather(SEED, PARIS).hours(whole.first - day, whole.last + day)
    weather = build_weather(hours.assign(lead_days=OBSERVED), PARIS)
    assert weather is not None
    champion = bootstrapped(counts, weather)
    places = counts[["counter_id", "latitude", "longitude"]].drop_duplicates("counter_id")
    unscored = Year(counts, weather, champion, pd.DataFrame(), places)
    rows = unscored.rows_of(counts, Span(history_start(whole.first) + timedelta(days=71), whole.last))
    return Year(counts, weather, champion, rows, places)


def plain_share(week: pd.DataFrame, rows: pd.DataFrame, places: pd.DataFrame) -> float:
    """The share by the rule of the first system: an ordinary week against the whole year before, every column.

    The year is sampled, which gives the same statistics in a fraction of the time.
    """
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    numbers = [*FEATURES, SEASONAL, "bike_count", "predicted_count", "residual", "month", "latitude", "longitude"]
    numbers.remove("horizon_days")
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=["counter_id"])
    frames = []
    for part in (week, within(rows, HISTORY).sample(SAMPLE_ROWS, random_state=SEED)):
        joined = part.merge(places, on="counter_id").assign(
            residual=lambda part: part["bike_count"] - part["predicted_count"], month=lambda part: part["day"].dt.month
        )
        frames.append(Dataset.from_pandas(joined[[*numbers, "counter_id"]], data_definition=definition))
    metrics = Report([DataDriftPreset(columns=[*numbers, "counter_id"])]).run(*frames).dict()["metrics"]
    return float(metrics[0]["value"]["share"])


def judged_week(year: Year, day: date) -> dict[str, object]:
    week = within(year.rows, week_to(day))
    scores = score(week["bike_count"], week["predicted_count"].to_numpy())
    naive = score(week["bike_count"], week[SEASONAL].to_numpy())
    drift = year.drift_to(day, week)
    decision = decide_retrain(WeekFigures(scores.r2, scores.rmse, scores.n, drift.share), RULE)
    return {
        "day": day, "ours": drift.share, "drifted": drift.drifted, "r2": scores.r2, "naive_r2": naive.r2,
        "decision": decision.decision, "plain": plain_share(week, year.rows, year.places),
    }  # fmt: skip


def test_a_year_in_which_nothing_is_wrong_asks_for_no_training(year, capsys):
    weeks = pd.DataFrame([judged_week(year, day) for day in WEEK_ENDS])
    false_retrains = int(weeks["decision"].map(lambda said: RetrainDecision(said).asks_for_training).sum())
    watched, critical = (
        {rule: int((weeks[rule] >= bound).sum()) for rule in ("ours", "plain")}
        for bound in (RULE.drift_warning, RULE.drift_critical)
    )
    drifted = weeks["drifted"].explode().value_counts().to_dict()
    with capsys.disabled():
        print(f"\n\nA year in which nothing is wrong: {len(weeks)} weeks of {COUNTERS} simulated counters")
        print(f"{'':34}{'our rule':>10}{'plain rule':>12}")
        print(f"{'median drift share':34}{weeks['ours'].median():>10.2f}{weeks['plain'].median():>12.2f}")
        print(f"{f'weeks with share >= {RULE.drift_warning}':34}{watched['ours']:>10}{watched['plain']:>12}")
        print(f"{f'weeks with share >= {RULE.drift_critical}':34}{critical['ours']:>10}{critical['plain']:>12}")
        print(f"{'false retrains':34}{false_retrains:>10}")
        print(f"R² of the champion {weeks['r2'].min():.3f} to {weeks['r2'].max():.3f}, "
              f"of the naive {weeks['naive_r2'].min():.3f} to {weeks['naive_r2'].max():.3f}")  # fmt: skip
        print(f"weeks in which a column drifted by our rule: {drifted}")
    assert len(weeks) == 52
    assert weeks["ours"].notna().all()
    assert false_retrains == 0
    assert watched["ours"] < watched["plain"]
    assert critical["ours"] < critical["plain"]
    assert weeks["ours"].median() < 0.1


def shifted_from(counts: pd.DataFrame, start: date, factor: float) -> pd.DataFrame:
    """Counts as they would be with another level from a day on."""
    after = counts["counted_at"] >= utc_bounds(start, PARIS)[0]
    return counts.assign(bike_count=np.where(after, np.round(counts["bike_count"] * factor), counts["bike_count"]))


def shares_after(year: Year, start: date, factor: float) -> list[float]:
    """The share before a shift, and with one day of it, two, three."""
    first = start - timedelta(days=7)
    span = Span(first, start + timedelta(days=SHIFT_DAYS - 1))
    known = Span(history_start(first), span.last)
    inside = year.counts["counted_at"].between(utc_bounds(known.first, PARIS)[0], utc_bounds(known.last, PARIS)[1])
    rows = year.rows_of(shifted_from(year.counts[inside], start, factor), span)
    ends = [start + timedelta(days=days - 1) for days in range(SHIFT_DAYS + 1)]
    return [share for end in ends if (share := year.drift_to(end, within(rows, week_to(end))).share) is not None]


def test_thirty_percent_more_bikes_are_noticed_within_three_days(year, capsys):
    noticed = {}
    with capsys.disabled():
        print(
            f"\n\n{SHIFT - 1:+.0%} everywhere from a day on: drift share before, and with 1 to {SHIFT_DAYS} days of it"
        )
        for start in SHIFT_STARTS:
            shares = shares_after(year, start, SHIFT)
            noticed[start] = next((n for n, share in enumerate(shares) if n and share >= RULE.drift_warning), None)
            shown = " ".join(f"{share:.2f}" for share in shares)
            print(f"{start}: {shown}, noticed with {noticed[start]} days of data")
    assert all(days is not None and days <= SHIFT_DAYS for days in noticed.values()), noticed

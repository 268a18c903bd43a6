"""What holds of every family alike: the served file is the model, the same each time, bounded, and never confused."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bike_assets.core.families import FAMILIES
from bike_assets.core.families.base import RATIO_BOUNDS, Family, Trained
from bike_assets.core.families.blend import MEMBERS, Blend, BlendConfig, mixing_weights
from bike_assets.core.families.served import ServedModel
from bike_assets.core.features import FEATURES, HORIZONS, SEASONAL
from bike_assets.core.local_time import days_between
from bike_assets.core.scoring import score
from bike_assets.core.training import train_and_score
from bike_assets.core.weather_cube import WEATHER_FEATURES

LARGEST_OFFSET = 5.0
NAMES = sorted(FAMILIES)


def fitted(name: str, rows: pd.DataFrame, seed: int = 3) -> Family:
    family = FAMILIES[name](FAMILIES[name].quick_config(), seed, 1)
    family.counters = sorted(rows["counter_id"].unique())
    family.fit(rows)
    return family


def serve(family: Family) -> ServedModel:
    trained = Trained(family.to_onnx(), family.counters)
    return ServedModel(trained.onnx, trained.sha256, trained.counters)


@pytest.fixture(scope="session")
def families(train_rows) -> dict[str, Family]:
    return {name: fitted(name, train_rows) for name in NAMES}


@pytest.fixture(scope="session")
def served(families) -> dict[str, ServedModel]:
    return {name: serve(family) for name, family in families.items()}


@pytest.fixture
def odd_rows(test_sets) -> pd.DataFrame:
    """Rows of unknown counters, and with values missing that a new counter does not have yet."""
    rows = test_sets["test_current"].sample(900, random_state=5).reset_index(drop=True)
    rows.loc[:300, "counter_id"] = "never seen"
    gone = np.random.default_rng(1).random((len(rows), len(FEATURES))) < 0.3
    for position, name in enumerate(FEATURES):
        if name.startswith(("ratio", "level", "log_level")) or name in WEATHER_FEATURES:
            rows[name] = rows[name].where(~gone[:, position])
    return rows


@pytest.mark.parametrize("name", NAMES)
def test_the_served_file_predicts_what_the_model_predicts(families, served, odd_rows, name):
    native, answers = families[name].predict(odd_rows), served[name].predict(odd_rows)
    assert np.abs(answers - native).max() / max(1.0, np.abs(native).max()) < 1e-5
    assert (np.abs(answers - native) / np.maximum(np.abs(native), 1)).max() < 1e-5
    assert answers.std() > 1


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_is_a_number_within_the_bounds_of_the_base(served, odd_rows, name):
    answers, base = served[name].predict(odd_rows), odd_rows[SEASONAL].to_numpy()
    assert np.isfinite(answers).all()
    assert (answers >= 0).all()
    assert (answers <= RATIO_BOUNDS[1] * (base + LARGEST_OFFSET) * 1.0001).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_row_without_weather_is_answered_as_one_with_weather_as_usual(served, odd_rows, name):
    unknown, usual = (odd_rows.assign(**dict.fromkeys(WEATHER_FEATURES, value)) for value in (np.nan, 0.0))
    np.testing.assert_array_equal(served[name].predict(unknown), served[name].predict(usual))
    other = odd_rows.assign(**dict.fromkeys(WEATHER_FEATURES, 2.0))
    assert not np.array_equal(served[name].predict(other), served[name].predict(usual))


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_was_trained_without_weather_is_not_moved_by_it(train_rows, odd_rows, name):
    family = fitted(name, train_rows.assign(**dict.fromkeys(WEATHER_FEATURES, np.nan)))
    model = serve(family)
    calm, stormy = (odd_rows.assign(**dict.fromkeys(WEATHER_FEATURES, value)) for value in (0.0, 50.0))
    np.testing.assert_array_equal(model.predict(calm), model.predict(stormy))


@pytest.mark.parametrize("name", NAMES)
def test_every_horizon_has_a_model_of_its_own_and_another_has_none(families, served, odd_rows, name):
    answers = [served[name].predict(odd_rows.assign(horizon_days=horizon)) for horizon in HORIZONS]
    assert all(not np.array_equal(one, other) for one, other in itertools.pairwise(answers))
    assert np.isnan(served[name].predict(odd_rows.assign(horizon_days=4))).all()


@pytest.mark.parametrize("family", MEMBERS)
def test_a_horizon_without_rows_is_refused(train_rows, family):
    rows = train_rows[train_rows["horizon_days"] != 2]
    with pytest.raises(ValueError, match="no rows at 2 days ahead"):
        fitted(family.name, rows)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_about_as_good_as_the_seasonal_naive_on_rows_as_few_as_these(train_rows, test_sets, name):
    family = FAMILIES[name](FAMILIES[name].config_type(), 3, 1)
    family.counters = sorted(train_rows["counter_id"].unique())
    family.fit(train_rows)
    rows = test_sets["test_current"]
    rows = rows[rows["horizon_days"] == 1]
    learned, naive = score(rows["bike_count"], family.predict(rows)), score(rows["bike_count"], rows[SEASONAL])
    assert learned.rmse < naive.rmse * 1.1


@pytest.mark.parametrize("name", NAMES)
def test_the_same_training_is_the_same_file_and_another_seed_another(families, train_rows, name):
    content = families[name].to_onnx()
    assert fitted(name, train_rows).to_onnx() == content
    assert fitted(name, train_rows, seed=4).to_onnx() != content


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_loaded_again_gives_the_same_to_the_last_bit(families, served, odd_rows, name):
    assert (serve(families[name]).predict(odd_rows) == served[name].predict(odd_rows)).all()


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_and_missing_targets_are_refused_with_the_reason(train_rows, test_sets, name):
    family = FAMILIES[name](FAMILIES[name].quick_config(), 0, 1)
    with pytest.raises(ValueError, match="no rows to fit on"):
        train_and_score(family, train_rows.iloc[:0], test_sets, {})
    holes = train_rows.astype({"bike_count": float}).copy()
    holes.iloc[[3, 8], holes.columns.get_loc("bike_count")] = np.nan
    with pytest.raises(ValueError, match=r"2 of the .* rows have no count"):
        train_and_score(family, holes, test_sets, {})


@pytest.mark.parametrize("name", NAMES)
def test_a_counter_with_one_day_of_history_and_all_zero_days_are_forecast(served, name):
    """Its features have almost no values; what there is comes from the city's profile at its own level."""
    from bike_assets.core.features import build_cube, feature_rows
    from bike_assets.core.simulation import SimulatedCity
    from bike_assets_tests.core.conftest import FRANCE, PARIS, PLACE

    days = days_between(pd.Timestamp("2025-05-01").date(), pd.Timestamp("2025-06-09").date())
    counts = SimulatedCity(7, 4, PARIS, FRANCE).counts(days[0], days[-1])
    first, second = counts["counter_id"].unique()[:2]
    counts = counts[(counts["counter_id"] != first) | (counts["counted_at"] >= pd.Timestamp(days[-1], tz=PARIS))].copy()
    counts.loc[counts["counter_id"] == second, "bike_count"] = 0
    tomorrow = (pd.Timestamp(days[-1]) + pd.Timedelta(days=1)).date()
    rows = pd.concat([feature_rows(build_cube(counts, PARIS), [tomorrow], h, PLACE) for h in HORIZONS])
    answers = served[name].predict(rows)
    assert np.isfinite(answers).all()
    assert {first, second} <= set(rows["counter_id"])
    assert answers[(rows["counter_id"] == second).to_numpy()].max() < 60


def test_the_blends_weights_are_a_mean_and_come_from_the_newest_training_days_alone(families, train_rows):
    blend = families["blend"]
    assert isinstance(blend, Blend)
    assert set(blend.weights) == {member.name for member in MEMBERS}
    assert sum(blend.weights.values()) == pytest.approx(1)
    assert min(blend.weights.values()) >= 0
    seen: list[pd.Timestamp] = []
    spied = Blend(BlendConfig(quick=True), 3, 1)
    spied.counters = blend.counters
    fit_one = spied._fitted
    spied._fitted = lambda family, rows: seen.append(rows["day"].max()) or fit_one(family, rows)
    spied.fit(train_rows)
    newest = train_rows["day"].max()
    assert seen == [newest - pd.Timedelta(days=28)] * len(MEMBERS) + [newest] * len(MEMBERS)
    assert spied.weights == blend.weights


def test_the_blend_takes_over_members_that_were_trained_on_the_same_rows(families, train_rows):
    ready = {
        member.name: Trained(families[member.name].to_onnx(), families[member.name].counters) for member in MEMBERS
    }
    blend = Blend(BlendConfig(quick=True), 3, 1)
    blend.counters = families["blend"].counters
    blend.adopt(ready)
    blend.fit(train_rows)
    assert blend.members == ready
    assert blend.to_onnx() == families["blend"].to_onnx()


def test_too_few_days_to_weigh_are_refused(train_rows):
    blend = Blend(BlendConfig(weighing_days=120), 0, 1)
    with pytest.raises(ValueError, match="days are too few"):
        blend.fit(train_rows)


@given(st.integers(0, 10**6), st.integers(2, 4), st.floats(0.1, 1000))
@settings(max_examples=30)
def test_mixing_weights_are_never_negative_sum_to_one_and_beat_each_member(seed, members, scale):
    random = np.random.default_rng(seed)
    counts = scale * random.gamma(2.0, 1.0, 200)
    forecasts = np.column_stack([counts + scale * random.normal(0, 0.5, 200) for _ in range(members)])
    weights = mixing_weights(forecasts, counts)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    errors = [((forecast - counts) ** 2).mean() for forecast in forecasts.T]
    assert ((forecasts @ weights - counts) ** 2).mean() <= min(errors) * 1.001

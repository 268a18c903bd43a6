"""The boosting and the file that it is served from: the same figures, bounded, and not to be swapped or confused."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from pydantic import ValidationError

from bike_assets.core.families import FAMILIES
from bike_assets.core.families.base import INPUTS, RATIO_BOUNDS, Trained, fingerprint, model_inputs_of
from bike_assets.core.families.by_horizon import HORIZON
from bike_assets.core.families.gradient_boosting import GradientBoosting, GradientBoostingConfig
from bike_assets.core.families.graph import OPSET, serve_by_horizon
from bike_assets.core.families.served import ServedModel
from bike_assets.core.features import FEATURES, HORIZONS, SEASONAL

PARITY = 1e-5


def serve(trained: Trained) -> ServedModel:
    return ServedModel(trained.onnx, trained.sha256, trained.counters)


@pytest.fixture(scope="module")
def served(training) -> ServedModel:
    return serve(training.trained)


def random_rows(train_rows: pd.DataFrame, seed: int, rows: int, unknown: float) -> pd.DataFrame:
    """Rows within and beyond what training saw, with unknown values and counters."""
    random = np.random.default_rng(seed)
    columns = {}
    for name in FEATURES:
        low, high = train_rows[name].min(), train_rows[name].max()
        values = random.uniform(low - 0.5 * (high - low), high + 0.5 * (high - low), rows).astype(np.float32)
        values[random.random(rows) < unknown] = np.nan
        columns[name] = values
    columns["horizon_days"] = random.choice(HORIZONS, rows)
    columns[SEASONAL] = np.exp(random.uniform(-3, 7, rows)).astype(np.float32)
    counters = [*train_rows["counter_id"].unique(), "never seen", "nor this one"]
    return pd.DataFrame(columns | {"counter_id": random.choice(counters, rows)})


def greatest_difference(native: np.ndarray, onnx: np.ndarray) -> float:
    return float((np.abs(onnx - native) / np.maximum(np.abs(native), 1)).max())


@given(seed=st.integers(0, 10**6), unknown=st.sampled_from([0.0, 0.1, 0.6, 1.0]))
@settings(max_examples=15)
def test_the_served_file_answers_as_lightgbm_on_any_rows(boosting, served, train_rows, seed, unknown):
    rows = random_rows(train_rows, seed, 2000, unknown)
    assert greatest_difference(boosting.predict(rows), served.predict(rows)) < PARITY


def test_the_served_file_answers_as_lightgbm_on_both_sides_of_every_threshold(boosting, served, train_rows):
    columns = {f"Column_{position}": name for position, name in enumerate(INPUTS)}
    parts = []
    for horizon, model in boosting.models.items():
        trees = model.trees_to_dataframe().dropna(subset=["threshold"])
        splits = trees[trees["decision_type"] == "<="]
        for column, thresholds in splits.groupby("split_feature")["threshold"]:
            exact = np.unique(thresholds.astype(float)).astype(np.float32)
            values = np.concatenate([exact, *(np.nextafter(exact, np.float32(side)) for side in (-np.inf, np.inf))])
            # LightGBM takes what is this near to zero for zero.
            values = np.where(np.abs(values) <= np.float32(1e-35), np.float32(0), values)
            rows = train_rows.sample(len(values), replace=True, random_state=1).assign(horizon_days=horizon)
            parts.append(rows.assign(**{columns[column]: values}))
    rows = pd.concat(parts)
    assert len(parts) > 15
    assert greatest_difference(boosting.predict(rows), served.predict(rows)) < PARITY


def test_the_answers_vary_with_rows_and_counters(served, train_rows):
    rows = random_rows(train_rows, 3, 500, 0)
    ratio = served.predict(rows) / (rows[SEASONAL].to_numpy() + 1)
    assert ratio.std() > 0.05
    one = train_rows.head(1)
    per_counter = {served.predict(one.assign(counter_id=name))[0] for name in served.counters}
    assert len(per_counter) > 1


def test_counters_that_training_never_saw_are_all_answered_alike(served, train_rows):
    first, second = (served.predict(train_rows.head(50).assign(counter_id=name)) for name in ("new", "newer"))
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, second)


def test_the_answer_to_a_row_is_bit_for_bit_the_same_in_every_batch(served, train_rows):
    rows = train_rows.sample(2000, random_state=2)
    together = served.predict(rows)
    alone = [served.predict(rows.iloc[[position]])[0] for position in range(300)]
    np.testing.assert_array_equal(alone, together[:300])
    for size in (2, 7, 64, 999):
        parts = [served.predict(rows.iloc[start : start + size]) for start in range(0, len(rows), size)]
        np.testing.assert_array_equal(np.concatenate(parts), together)
    np.testing.assert_array_equal(served.predict(rows.iloc[::-1])[::-1], together)
    assert served.predict(rows.iloc[:0]).shape == (0,)


def test_a_busy_hour_weighs_more_than_a_quiet_one(train_rows):
    quiet, busy = (train_rows.head(100).assign(base=base, bike_count=count) for base, count in ((9, 30), (999, 1000)))
    rows = pd.concat([each.assign(horizon_days=horizon) for each in (quiet, busy) for horizon in HORIZONS])
    family = GradientBoosting(GradientBoostingConfig(iterations=1, learning_rate=0.01, min_rows_in_leaf=90), 0, 1)
    family.counters = sorted(rows["counter_id"].unique())
    family.fit(rows)
    assert family.predict(rows) / (rows[SEASONAL].to_numpy() + 1) == pytest.approx(1030 / 1010, rel=0.02)


@pytest.mark.parametrize("factor", [0.001, 1000.0])
def test_counts_out_of_all_proportion_to_the_base_are_answered_within_the_bounds(train_rows, factor):
    family = GradientBoosting(GradientBoostingConfig(iterations=60, learning_rate=0.5, min_rows_in_leaf=5), 0, 1)
    rows = train_rows.sample(2000, random_state=1)
    rows = rows.assign(bike_count=rows[SEASONAL] * factor)
    family.counters = sorted(rows["counter_id"].unique())
    family.fit(rows)
    exposure = rows[SEASONAL].to_numpy() + 1
    bound = RATIO_BOUNDS[0] if factor < 1 else RATIO_BOUNDS[1]
    for predicted in (family.predict(rows), serve(Trained(family.to_onnx(), family.counters)).predict(rows)):
        ratio = predicted / exposure
        assert (ratio >= RATIO_BOUNDS[0] * (1 - 1e-5)).all()
        assert (ratio <= RATIO_BOUNDS[1] * (1 + 1e-5)).all()
        assert np.median(ratio) == pytest.approx(bound, rel=1e-5)


def test_the_same_training_gives_the_same_answers(training, train_rows):
    again = GradientBoosting(GradientBoostingConfig(iterations=60, learning_rate=0.15, min_rows_in_leaf=20), 0, 1)
    again.counters = training.trained.counters
    again.fit(train_rows)
    rows = random_rows(train_rows, 11, 1000, 0.1)
    trained = Trained(again.to_onnx(), again.counters)
    np.testing.assert_array_equal(serve(trained).predict(rows), serve(training.trained).predict(rows))


def test_a_sample_of_the_rows_is_drawn_with_the_seed(train_rows):
    def predicted(seed: int) -> np.ndarray:
        family = GradientBoosting(GradientBoostingConfig(iterations=5, min_rows_in_leaf=20, sample=0.3), seed, 1)
        family.counters = sorted(train_rows["counter_id"].unique())
        family.fit(train_rows)
        return family.predict(train_rows.head(300))

    np.testing.assert_array_equal(predicted(1), predicted(1))
    assert not np.array_equal(predicted(1), predicted(2))


@pytest.mark.parametrize(
    "tamper",
    [lambda file: file[:-1], lambda file: file + b"\0", lambda file: file[:500] + bytes([file[500] ^ 1]) + file[501:]],
    ids=["cut off", "extended", "one bit"],
)
def test_a_file_that_is_not_what_was_registered_is_refused(training, tamper):
    trained = training.trained
    with pytest.raises(ValueError, match="not what was registered"):
        ServedModel(tamper(trained.onnx), trained.sha256, trained.counters)


def test_the_file_of_another_version_is_refused(training):
    other = hashlib.sha256(b"another version").hexdigest()
    with pytest.raises(ValueError, match="not what was registered"):
        ServedModel(training.trained.onnx, other, training.trained.counters)


def ratio_model(width: int) -> bytes:
    """A served file whose ratio is the sum of its inputs."""
    nodes = [helper.make_node("ReduceSum", ["features", "axes"], ["ratio"], keepdims=1)]
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, width])
    ratio = helper.make_tensor_value_info("ratio", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph(nodes, "sum", [features], [ratio], [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    return serve_by_horizon("sum", {1: model}, HORIZON, 5.0)


def test_a_file_made_for_other_features_is_refused():
    trained = Trained(ratio_model(len(INPUTS) - 1), [])
    with pytest.raises(ValueError, match=rf"takes {len(INPUTS) - 1} inputs, and this code makes {len(INPUTS)}"):
        serve(trained)


@pytest.mark.parametrize(("feature", "ratio"), [(1.5, 1.5), (100.0, RATIO_BOUNDS[1]), (-100.0, RATIO_BOUNDS[0])])
def test_every_served_file_bounds_its_ratio_and_scales_it_by_the_base(feature, ratio):
    rows = pd.DataFrame({name: [0.0] for name in FEATURES} | {"counter_id": ["a"], SEASONAL: [20.0]})
    served = serve(Trained(ratio_model(len(INPUTS)), ["a"]))
    found = served.predict(rows.assign(horizon_days=1, log_base=feature - 1))
    assert found == pytest.approx([ratio * (20 + 5)], rel=1e-6)


def test_the_inputs_are_the_counters_code_and_the_features_in_their_order():
    rows = pd.DataFrame({name: [float(number)] * 3 for number, name in enumerate(FEATURES)})
    rows = rows.assign(counter_id=["b", "a", "never seen"])[[*reversed(FEATURES), "counter_id"]]
    found = model_inputs_of(rows, ["a", "b"])
    assert found.dtype == np.float32
    assert list(found[:, 0]) == [1, 0, -1]
    assert [list(row) for row in found[:, 1:]] == [list(range(len(FEATURES)))] * 3


CONFIG = GradientBoostingConfig()


def test_the_same_training_has_the_same_fingerprint():
    ours = fingerprint(GradientBoosting, CONFIG, 1, ["a", "b"])
    assert ours == fingerprint(GradientBoosting, GradientBoostingConfig(iterations=120), 1, ["a", "b"])


def test_the_fingerprint_changes_with_everything_that_decides_the_outcome():
    class NewerCode(GradientBoosting):
        code_version = "next"

    class Renamed(GradientBoosting):
        name = "other_boosting"

    found = [
        fingerprint(GradientBoosting, CONFIG, 1, ["a", "b"]),
        fingerprint(GradientBoosting, CONFIG, 2, ["a", "b"]),
        fingerprint(GradientBoosting, CONFIG, 1, ["a", "c"]),
        fingerprint(GradientBoosting, CONFIG, 1, ["b", "a"]),
        fingerprint(GradientBoosting, CONFIG, 1, ["ab"]),
        fingerprint(GradientBoosting, GradientBoostingConfig(leaves=32), 1, ["a", "b"]),
        fingerprint(GradientBoosting, GradientBoostingConfig(learning_rate=0.06), 1, ["a", "b"]),
        fingerprint(NewerCode, CONFIG, 1, ["a", "b"]),
        fingerprint(Renamed, CONFIG, 1, ["a", "b"]),
    ]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    "values", [{"iteration": 10}, {"iterations": 0}, {"learning_rate": 0}, {"sample": 1.2}, {"leaves": 1}]
)
def test_a_misspelt_or_senseless_hyper_parameter_is_refused(values):
    with pytest.raises(ValidationError, match=next(iter(values))):
        GradientBoostingConfig(**values)


def test_families_are_found_by_the_name_that_they_give_themselves():
    assert FAMILIES["gradient_boosting"] is GradientBoosting
    for name, family in FAMILIES.items():
        assert family.name == name
        assert isinstance(family.quick_config(), family.config_type)
        assert "onnx" in family.kinds


def test_the_same_training_is_the_same_file(train_rows):
    files = []
    for _ in range(2):
        family = GradientBoosting(GradientBoostingConfig(iterations=5), seed=1, threads=1)
        family.counters = sorted(train_rows["counter_id"].unique())
        family.fit(train_rows)
        files.append(Trained(family.to_onnx(), family.counters).sha256)
    assert files[0] == files[1]

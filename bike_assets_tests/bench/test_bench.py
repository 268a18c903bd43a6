"""The benchmark's own arithmetic and its scales: medians, ratios, verdicts, and that a child's figures are its own."""

import pytest

from bike_assets_tests.bench import children
from bike_assets_tests.bench.children import ChildFailedError, Sample, weigh
from bike_assets_tests.bench.counts import find_counts
from bike_assets_tests.bench.families import FamilyFigures, Fitted, summarise_families
from bike_assets_tests.bench.figures import DAILY_WITH_DRIFT, DAILY_WITHOUT_DRIFT, EMPTY, Measurement, summarise
from bike_assets_tests.bench.measurements import IdlePassError, refuse_idle_pass


def measurement(name: str, *seconds: float, peak: float = 100.0) -> Measurement:
    return Measurement(name, name, tuple(Sample(each, each / 2, each, peak) for each in seconds))


def test_ratios_are_of_medians_and_an_aim_that_is_missed_is_told():
    measured = [
        measurement(DAILY_WITHOUT_DRIFT, 9.0, 5.0, 6.0),
        measurement(DAILY_WITH_DRIFT, 8.0, 7.0, 50.0, peak=3000.0),
        measurement(EMPTY, 2.0, 2.0, 90.0),
    ]
    without, with_drift, _, _, peak = summarise(measured)
    assert (without.value, without.met) == (3.0, True)
    assert (with_drift.value, with_drift.met) == (4.0, False)
    assert (peak.value, peak.met) == (3000.0, False)


def fitted(name: str, cpu: float, rmse: float) -> Fitted:
    return Fitted(name, cpu, cpu / 2, 1000.0, 1.0, 1e6, rmse)


def test_the_best_single_family_and_the_dearest_are_held_against_the_plain_forest():
    models = [
        fitted("plain_forest", 400.0, 60.0),
        fitted("random_forest", 60.0, 30.0),
        fitted("gradient_boosting", 30.0, 31.0),
        fitted("blend", 500.0, 27.0),
    ]
    found = summarise_families([FamilyFigures("synthetic", 905_000, models)], 4200.0)
    best, dearest, *errors, peak = found
    assert (best.name.split()[0], best.value, best.met) == ("random_forest", 0.15, False)
    assert (dearest.name.split()[0], dearest.value, dearest.met) == ("blend", 1.25, False)
    assert [each.value for each in errors] == [30 / 60, 31 / 60, 27 / 60]
    assert (peak.value, peak.met) == (4200.0, False)


def test_json_has_every_single_value_beside_the_median():
    assert measurement(EMPTY, 3.0, 1.0, 2.0).as_json()["seconds"] == {"median": 2.0, "values": [3.0, 1.0, 2.0]}


@pytest.fixture
def module_of(tmp_path, monkeypatch):
    """Puts a module of some source where children find their package."""

    def module_of(source: str) -> str:
        (tmp_path / "children_package").mkdir()
        (tmp_path / "children_package" / "child.py").write_text(source)
        monkeypatch.setattr(children, "ROOT", tmp_path)
        monkeypatch.setattr(children, "__package__", "children_package")
        return "child"

    return module_of


def test_a_childs_peak_counts_what_it_held(module_of, tmp_path):
    child = module_of("import sys; held = b'x' * (200 << 20); open(sys.argv[-1], 'w').write('{\"run_seconds\": 0}')")
    sample = weigh(child, [], {}, tmp_path)
    assert sample.peak_mib > 200


def test_a_child_that_fails_is_quoted(module_of, tmp_path):
    with pytest.raises(ChildFailedError, match="no such day"):
        weigh(module_of("raise SystemExit('no such day')"), [], {}, tmp_path)


def test_without_an_export_the_simulator_is_measured_and_said(tmp_path, monkeypatch):
    monkeypatch.setenv("BIKE_COUNTS_FILE", str(tmp_path / "none.parquet"))
    counts = find_counts()
    assert (counts.label, counts.environment) == ("synthetic", {"BIKE_SOURCE": "simulator"})
    assert "none.parquet" in counts.remark


def test_a_pass_that_did_nothing_is_no_measurement():
    left = {"forecasts": 3744, "scores": 12, "drift_shares": 0}
    refuse_idle_pass(DAILY_WITHOUT_DRIFT, left)
    with pytest.raises(IdlePassError, match="no drift_shares"):
        refuse_idle_pass(DAILY_WITH_DRIFT, left)

"""What people read: the right figures under the right names, and a dash for what is not known."""

import math
from datetime import date

import pytest

from bike_assets.core import messages
from bike_assets.core.messages import Severity
from bike_assets.core.schemas import DEPLOYMENT_DECISIONS, DRIFT, RETRAIN_DECISIONS

LINK = "http://127.0.0.1:3000/runs/1"
DEPLOYED = {
    "decided_on": date(2026, 3, 1),
    "challenger_version": 7,
    "challenger_family": "gradient_boosting",
    "champion_version": 3,
    "decision": "DEPLOY",
    "reason": "R² on test_current 0.8312 against the champion's 0.8001: gain +0.0311, above 0.0200",
    "r2_baseline": 0.81239,
    "r2_current": 0.83124,
    "rmse_baseline": 31.256,
    "rmse_current": 29.871,
    "gain": 0.0311,
    "gain_low": 0.0102,
    "gain_high": 0.0521,
    "gain_residual_share": 0.1558,
}
DECIDED = {
    "day": date(2026, 3, 2),
    "decision": "RETRAIN_REACTIVE",
    "reason": "R² 0.512 is below 0.65",
    "r2": 0.5123,
    "rmse": 61.27,
    "rows": 10752,
    "drift_share": 0.4167,
    "champion_version": 3,
    "held_until": None,
    "acts": True,
}
DRIFTED = {
    "day": date(2026, 3, 2),
    "drift_share": 0.5833,
    "drifted_columns": "base, residual",
    "columns_checked": 12,
    "reference": "same weeks last year: 2025-02-20 to 2025-03-12",
    "new_counters": "c9",
    "vanished_counters": "",
    "model_version": 3,
}
OF_EVALUATION = [messages.promotion, messages.rejection]
OF_WEEK = [messages.critical_performance, messages.recovery]


def everything_in(message: messages.Message) -> str:
    return " ".join([message.title, message.text, *message.fields, *message.fields.values()])


def test_the_rows_of_these_tests_have_the_tables_columns():
    for row, table in ((DEPLOYED, DEPLOYMENT_DECISIONS), (DECIDED, RETRAIN_DECISIONS), (DRIFTED, DRIFT)):
        assert set(row) <= set(table.columns)


@pytest.mark.parametrize("tell", OF_EVALUATION)
def test_an_evaluation_is_told_with_its_figures_and_its_reason(tell):
    message = tell(DEPLOYED, LINK)
    assert message.fields == {
        "family": "gradient_boosting",
        "version": "7",
        "R² test_baseline": "0.8124",
        "R² test_current": "0.8312",
        "gain": "+0.0311 (+0.0102 to +0.0521), 16% of what the champion leaves",
        "RMSE test_baseline": "31.26",
        "RMSE test_current": "29.87",
    }
    assert DEPLOYED["reason"] in message.text
    assert "gradient_boosting version 7" in message.title
    assert message.link == LINK


def test_a_promotion_says_whom_it_replaces_and_a_first_one_nobody():
    assert "in place of version 3" in messages.promotion(DEPLOYED).text
    for nobody in (0, None, math.nan):
        assert "in place of" not in messages.promotion({**DEPLOYED, "champion_version": nobody}).text


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"gain": -0.01, "gain_low": -0.02, "gain_high": 0.001}, "-0.0100 (-0.0200 to +0.0010), 16% of what"),
        ({"gain_low": None, "gain_high": None, "gain_residual_share": None}, "+0.0311"),
        ({"gain_low": math.nan, "gain_high": math.nan, "gain_residual_share": math.nan}, "+0.0311"),
        ({"gain": None, "gain_low": None, "gain_high": None, "gain_residual_share": None}, "-"),
    ],
)
def test_a_gain_is_shown_as_far_as_it_is_known(change, shown):
    told = messages.promotion({**DEPLOYED, **change}).fields["gain"]
    assert told.startswith(shown)
    assert ("champion leaves" in told) == ("of what" in shown)


def test_a_row_from_before_there_were_gains_can_be_told():
    row = {name: value for name, value in DEPLOYED.items() if not name.startswith("gain")}
    assert messages.promotion(row).fields["gain"] == "-"


@pytest.mark.parametrize("tell", OF_WEEK)
def test_a_week_is_told_with_its_figures_and_its_reason(tell):
    message = tell(DECIDED, LINK)
    assert message.fields == {
        "decision": "RETRAIN_REACTIVE",
        "R²": "0.512",
        "RMSE": "61.3",
        "forecasts compared": "10,752",
        "drift share": "0.42",
        "champion": "version 3",
    }
    assert DECIDED["reason"] in message.text
    assert "2026-03-02" in message.title
    assert message.link == LINK


def test_a_retrain_that_is_held_says_until_when():
    held = messages.critical_performance({**DECIDED, "held_until": date(2026, 3, 6)})
    assert held.fields["retrain held until"] == "2026-03-06"


def test_drift_names_the_columns_and_the_counters():
    message = messages.drift(DRIFTED, LINK)
    assert message.fields == {
        "drift share": "0.58",
        "columns checked": "12",
        "drifted columns": "base, residual",
        "reference": DRIFTED["reference"],
        "new counters": "c9",
        "vanished counters": "-",
        "champion": "version 3",
    }
    assert "2026-03-02" in message.title
    assert "0.58" in message.text
    assert message.link == LINK


def test_a_failed_run_is_told_with_the_first_line_of_its_error():
    message = messages.failed_run("daily", "raw_counts", "\n  BikeError: the portal is silent\n  at line 3\n", LINK)
    assert message.fields == {"job": "daily", "step": "raw_counts", "error": "BikeError: the portal is silent"}
    assert "raw_counts" in message.text
    assert "daily" in message.title
    assert message.link == LINK


@pytest.mark.parametrize("nothing", [None, "", " \n "])
def test_a_run_that_failed_outside_of_its_steps_and_said_nothing_is_told_as_well(nothing):
    message = messages.failed_run("daily", None, nothing)
    assert message.fields == {"job": "daily", "step": "-", "error": "-"}
    assert (message.text, message.link) == ("A run failed in job daily.", None)


@pytest.mark.parametrize("missing", [None, math.nan])
@pytest.mark.parametrize(
    ("tell", "row"),
    [*((tell, DEPLOYED) for tell in OF_EVALUATION), *((tell, DECIDED) for tell in OF_WEEK), (messages.drift, DRIFTED)],
)
def test_a_number_that_is_missing_is_a_dash(tell, row, missing):
    unknown = {name: missing if isinstance(value, int | float) else value for name, value in row.items()}
    message = tell(unknown)
    told = everything_in(message)
    assert "-" in message.fields.values()
    assert "nan" not in told.lower().split()
    assert "None" not in told


@pytest.mark.parametrize("tell", [*OF_EVALUATION, *OF_WEEK, messages.drift])
def test_a_row_without_anything_can_be_told(tell):
    assert "None" not in everything_in(tell({}))


def test_how_much_each_message_matters():
    told = {
        messages.promotion(DEPLOYED).severity: "promotion",
        messages.rejection(DEPLOYED).severity: "rejection",
        messages.critical_performance(DECIDED).severity: "critical",
    }
    assert told == {Severity.INFO: "promotion", Severity.WARNING: "rejection", Severity.CRITICAL: "critical"}
    assert messages.failed_run("daily", None, None).severity == Severity.CRITICAL
    assert messages.drift(DRIFTED).severity == Severity.WARNING
    assert messages.recovery(DECIDED).severity == Severity.INFO

"""What people read: the right figures under the right names, and a dash for what is not known."""

import math
from datetime import date

import pytest

from bike_assets.core import messages
from bike_assets.core.messages import Severity
from bike_assets.core.schemas import DEPLOYMENTS, EVALUATIONS

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
DEPLOYMENT = {
    "version": 7,
    "family": "gradient_boosting",
    "replaced_version": 3,
    "decided_by": "evaluation",
    "reason": DEPLOYED["reason"],
}
FIGURES = {"bound": 0.65, "r2": 0.51234, "reference": "same weeks last year"}


def promoted(row, link=None) -> messages.Message:
    deployment = {
        "version": row.get("challenger_version"),
        "family": row.get("challenger_family"),
        "replaced_version": row.get("champion_version"),
        "reason": row.get("reason"),
    }
    return messages.promotion(deployment, row, link)


EVALUATION_MESSAGES = [promoted, messages.rejection]


def everything_in(message: messages.Message) -> str:
    return " ".join([message.title, message.text, *message.fields, *message.fields.values()])


def test_the_rows_of_these_tests_have_the_tables_columns():
    for row, table in ((DEPLOYED, EVALUATIONS), (DEPLOYMENT, DEPLOYMENTS)):
        assert set(row) <= set(table.columns)


@pytest.mark.parametrize("describe", EVALUATION_MESSAGES)
def test_the_message_of_an_evaluation_has_its_figures_and_its_reason(describe):
    message = describe(DEPLOYED, LINK)
    assert message.fields == {
        "family": "gradient_boosting",
        "version": "7",
        "R² test_baseline": "0.8124",
        "R² test_current": "0.8312",
        "gain": "+0.0311 (+0.0102 to +0.0521), 16% of the champion's residual",
        "RMSE test_baseline": "31.26",
        "RMSE test_current": "29.87",
    }
    assert DEPLOYED["reason"] in message.text
    assert "gradient_boosting version 7" in message.title
    assert message.link == LINK


def test_a_promotion_names_the_version_that_it_replaces_and_a_first_one_names_none():
    assert "in place of version 3" in promoted(DEPLOYED).text
    for none in (0, None, math.nan):
        assert "in place of" not in promoted({**DEPLOYED, "champion_version": none}).text


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"gain": -0.01, "gain_low": -0.02, "gain_high": 0.001}, "-0.0100 (-0.0200 to +0.0010), 16% of the"),
        ({"gain_low": None, "gain_high": None, "gain_residual_share": None}, "+0.0311"),
        ({"gain_low": math.nan, "gain_high": math.nan, "gain_residual_share": math.nan}, "+0.0311"),
        ({"gain": None, "gain_low": None, "gain_high": None, "gain_residual_share": None}, "-"),
    ],
)
def test_a_gain_is_shown_as_far_as_it_is_known(change, shown):
    gain = promoted({**DEPLOYED, **change}).fields["gain"]
    assert gain.startswith(shown)
    assert ("champion's residual" in gain) == ("of the" in shown)


def test_a_row_without_gain_columns_has_a_message():
    row = {name: value for name, value in DEPLOYED.items() if not name.startswith("gain")}
    assert promoted(row).fields["gain"] == "-"


def test_a_promotion_by_hand_names_the_person_and_has_no_gain():
    message = messages.promotion({**DEPLOYMENT, "decided_by": "Ada"}, {"r2_baseline": 0.8}, LINK)
    assert "by Ada" in message.text
    assert (message.fields["gain"], message.fields["R² test_baseline"]) == ("-", "0.8000")


@pytest.mark.parametrize(("is_error", "severity"), [(True, Severity.CRITICAL), (False, Severity.WARNING)])
def test_the_message_of_a_failing_check_has_its_statement_and_its_figures(is_error, severity):
    message = messages.failing_check("Performance is critical", "R² is not below the bound.", is_error, FIGURES, LINK)
    assert message.fields == {"bound": "0.65", "r2": "0.5123", "reference": "same weeks last year"}
    assert message.text == "This does not hold: R² is not below the bound."
    assert (message.title, message.severity, message.link) == ("Performance is critical", severity, LINK)


def test_a_check_that_holds_again_is_no_alarm():
    message = messages.recovered_check("Performance is critical", "R² is not below the bound.", FIGURES, LINK)
    assert (message.title, message.severity) == ("Resolved: Performance is critical", Severity.INFO)
    assert message.fields["r2"] == "0.5123"


def test_the_message_of_a_failed_run_has_the_first_line_of_its_error():
    message = messages.failed_run("daily", "raw_counts", "\n  BikeError: the portal is silent\n  at line 3\n", LINK)
    assert message.fields == {"job": "daily", "step": "raw_counts", "error": "BikeError: the portal is silent"}
    assert "raw_counts" in message.text
    assert "daily" in message.title
    assert message.link == LINK


@pytest.mark.parametrize("nothing", [None, "", " \n "])
def test_a_run_that_failed_outside_of_its_steps_without_an_error_has_a_message(nothing):
    message = messages.failed_run("daily", None, nothing)
    assert message.fields == {"job": "daily", "step": "-", "error": "-"}
    assert (message.text, message.link) == ("A run failed in job daily.", None)


@pytest.mark.parametrize("missing", [None, math.nan])
@pytest.mark.parametrize("describe", EVALUATION_MESSAGES)
def test_a_number_that_is_missing_is_a_dash(describe, missing):
    unknown = {name: missing if isinstance(value, int | float) else value for name, value in DEPLOYED.items()}
    message = describe(unknown)
    text = everything_in(message)
    assert "-" in message.fields.values()
    assert "nan" not in text.lower().split()
    assert "None" not in text


@pytest.mark.parametrize("describe", EVALUATION_MESSAGES)
def test_an_empty_row_has_a_message(describe):
    assert "None" not in everything_in(describe({}))


def test_the_severity_of_each_message():
    assert promoted(DEPLOYED).severity == Severity.INFO
    assert messages.rejection(DEPLOYED).severity == Severity.WARNING
    assert messages.failed_run("daily", None, None).severity == Severity.CRITICAL

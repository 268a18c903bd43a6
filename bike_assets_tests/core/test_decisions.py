"""The two stated rules, cell by cell and bound by bound, and what must hold of any figures."""

import math
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bike_assets.core.decisions import (
    CooldownRule,
    EvaluationRule,
    RetrainDecision,
    RetrainRule,
    Verdict,
    WeekFigures,
    decide_retrain,
    evaluate_challenger,
    held_until,
)

ORDER = [
    RetrainDecision.ALL_GOOD,
    RetrainDecision.WAIT,
    RetrainDecision.RETRAIN_PROACTIVE,
    RetrainDecision.RETRAIN_REACTIVE,
]
ENOUGH = 5000
NAN = math.nan
figures = st.none() | st.floats()
r2s = st.floats(-2, 1)
shares = st.floats(0, 1)


def below(value: float) -> float:
    return math.nextafter(value, -math.inf)


def above(value: float) -> float:
    return math.nextafter(value, math.inf)


def retrain(r2, drift_share, rmse=30.0, rows=ENOUGH, behind=0, rule=None, **options) -> str:
    return decide_retrain(WeekFigures(r2, rmse, rows, drift_share, behind), rule or RetrainRule(), **options).decision


@pytest.mark.parametrize(
    ("r2", "drift_share", "decision"),
    [
        (-1.0, 0.0, "RETRAIN_REACTIVE"),
        (below(0.65), 0.0, "RETRAIN_REACTIVE"),
        (below(0.65), 0.4, "RETRAIN_REACTIVE"),
        (below(0.65), 1.0, "RETRAIN_REACTIVE"),
        (0.65, 1.0, "RETRAIN_PROACTIVE"),
        (0.65, 0.5, "RETRAIN_PROACTIVE"),
        (below(0.70), 0.5, "RETRAIN_PROACTIVE"),
        (0.65, below(0.5), "WAIT"),
        (below(0.70), below(0.5), "WAIT"),
        (0.65, 0.3, "WAIT"),
        (below(0.70), 0.3, "WAIT"),
        (0.65, below(0.3), "WAIT"),
        (below(0.70), 0.0, "WAIT"),
        (0.70, 1.0, "WAIT"),
        (0.70, 0.5, "WAIT"),
        (0.70, 0.3, "WAIT"),
        (0.95, 0.3, "WAIT"),
        (0.70, below(0.3), "ALL_GOOD"),
        (0.70, 0.0, "ALL_GOOD"),
        (1.0, 0.0, "ALL_GOOD"),
    ],
)
def test_each_cell_and_bound_of_the_retrain_matrix(r2, drift_share, decision):
    assert retrain(r2, drift_share) == decision


@pytest.mark.parametrize(("rmse", "decision"), [(60.0, "ALL_GOOD"), (above(60.0), "RETRAIN_REACTIVE")])
def test_an_rmse_above_its_limit_is_reactive_however_good_r2_is(rmse, decision):
    assert retrain(0.95, 0.0, rmse=rmse) == decision


@pytest.mark.parametrize("unknown", [None, NAN])
def test_critical_figures_decide_where_drift_is_unknown(unknown):
    assert retrain(0.64, unknown) == "RETRAIN_REACTIVE"
    assert retrain(0.95, unknown, rmse=61.0) == "RETRAIN_REACTIVE"


@pytest.mark.parametrize("unknown", [None, NAN])
@pytest.mark.parametrize("r2", [0.65, 0.70, 0.95])
def test_without_drift_figures_that_are_not_critical_are_no_decision(r2, unknown):
    assert retrain(r2, unknown) == "NOT_ENOUGH_DATA"


@pytest.mark.parametrize("unknown", [None, NAN])
def test_a_missing_r2_is_not_enough_data_whatever_else_is_known(unknown):
    for drift_share in (None, 0.0, 1.0):
        assert retrain(unknown, drift_share, rmse=500.0) == "NOT_ENOUGH_DATA"


@pytest.mark.parametrize("unknown", [None, NAN])
def test_a_missing_rmse_leaves_the_decision_to_r2_and_drift(unknown):
    assert retrain(0.95, 0.0, rmse=unknown) == "ALL_GOOD"
    assert retrain(0.66, 0.5, rmse=unknown) == "RETRAIN_PROACTIVE"


@pytest.mark.parametrize(("rows", "decision"), [(0, "NOT_ENOUGH_DATA"), (999, "NOT_ENOUGH_DATA"), (1000, "ALL_GOOD")])
def test_too_few_rows_are_no_decision(rows, decision):
    assert retrain(0.95, 0.0, rows=rows) == decision


def test_too_few_rows_are_no_decision_even_when_they_look_bad():
    assert retrain(0.1, 0.9, rmse=90.0, rows=999) == "NOT_ENOUGH_DATA"


@given(r2=figures, rmse=figures, rows=st.integers(0, 10**6), drift_share=figures)
@settings(max_examples=50)
def test_a_force_overrides_all_figures(r2, rmse, rows, drift_share):
    assert retrain(r2, drift_share, rmse=rmse, rows=rows, forced="Ada: a new fleet") == "FORCED"


@given(r2=figures, rmse=figures, rows=st.integers(0, 10**6), drift_share=figures)
@settings(max_examples=300)
def test_any_figures_get_a_decision_and_a_reason_and_only_a_person_forces(r2, rmse, rows, drift_share):
    found = decide_retrain(WeekFigures(r2, rmse, rows, drift_share), RetrainRule())
    assert found.inputs["rows"] == rows
    assert found.decision in {*ORDER, RetrainDecision.NOT_ENOUGH_DATA}
    assert found.reason


@given(
    r2=r2s,
    rmse=st.floats(0, 120),
    drift_share=shares,
    loss=st.floats(0, 1),
    error=st.floats(0, 60),
    more_drift=st.floats(0, 1),
    behind=st.integers(0, 4),
    more_days=st.integers(0, 4),
    naive_is_cause=st.booleans(),
)
@settings(max_examples=400)
def test_worse_figures_never_give_a_milder_decision(
    r2, rmse, drift_share, loss, error, more_drift, behind, more_days, naive_is_cause
):
    rule = RetrainRule(naive_is_cause=naive_is_cause)
    better = retrain(r2, drift_share, rmse=rmse, behind=behind, rule=rule)
    worse = retrain(r2 - loss, drift_share + more_drift, rmse=rmse + error, behind=behind + more_days, rule=rule)
    assert ORDER.index(better) <= ORDER.index(worse)


def test_the_bounds_of_the_retrain_rule_are_settings():
    rule = RetrainRule(
        r2_critical=0.8, r2_warning=0.9, drift_critical=0.2, drift_warning=0.1, rmse_limit=25.0, min_rows=10
    )
    found = [
        retrain(r2, drift_share, rmse=rmse, rows=rows, rule=rule)
        for r2, rmse, rows, drift_share in (
            (0.79, 20.0, 10, 0.0),
            (0.95, 26.0, 10, 0.0),
            (0.85, 20.0, 10, 0.2),
            (0.85, 20.0, 10, 0.19),
            (0.90, 20.0, 10, 0.1),
            (0.90, 20.0, 10, 0.09),
            (0.90, 20.0, 9, 0.09),
        )
    ]
    assert found == [
        "RETRAIN_REACTIVE",
        "RETRAIN_REACTIVE",
        "RETRAIN_PROACTIVE",
        "WAIT",
        "WAIT",
        "ALL_GOOD",
        "NOT_ENOUGH_DATA",
    ]


def test_training_follows_the_two_retrains_and_a_force_only():
    asks = {decision.value for decision in RetrainDecision if decision.asks_for_training}
    assert asks == {"RETRAIN_REACTIVE", "RETRAIN_PROACTIVE", "FORCED"}


@pytest.mark.parametrize(
    ("r2", "rmse", "drift_share", "shown"),
    [
        (0.6123, 20.0, 0.1, ["0.612", "0.65"]),
        (0.9, 72.26, 0.1, ["72.3", "60.0"]),
        (0.66, 20.0, 0.62, ["0.660", "0.62"]),
    ],
)
def test_the_reason_states_the_figures_that_decided(r2, rmse, drift_share, shown):
    reason = decide_retrain(WeekFigures(r2, rmse, ENOUGH, drift_share), RetrainRule()).reason
    assert [figure for figure in shown if figure not in reason] == []


def judge(r2_baseline, r2_current, champion) -> str:
    return evaluate_challenger(r2_baseline, r2_current, champion, EvaluationRule()).decision


@pytest.mark.parametrize(
    ("r2_baseline", "r2_current", "champion", "verdict"),
    [
        (below(0.60), 0.99, 0.50, "REJECT"),
        (below(0.60), 0.99, None, "REJECT"),
        (-3.0, 0.10, 0.90, "REJECT"),
        (0.60, 0.75, 0.50, "DEPLOY"),
        (0.60, 0.10, None, "DEPLOY"),
        (0.95, -0.5, None, "DEPLOY"),
        (0.95, above(0.50 + 0.02), 0.50, "DEPLOY"),
        (0.95, 0.50 + 0.02, 0.50, "SKIP"),
        (0.95, 0.51, 0.50, "SKIP"),
        (0.95, 0.50, 0.50, "SKIP"),
        (0.95, 0.20, 0.50, "SKIP"),
    ],
)
def test_each_cell_and_bound_of_the_double_evaluation(r2_baseline, r2_current, champion, verdict):
    assert judge(r2_baseline, r2_current, champion) == verdict


@pytest.mark.parametrize("unknown", [None, NAN])
def test_a_challenger_without_both_scores_is_not_judged(unknown):
    assert judge(unknown, 0.95, None) == "NOT_ENOUGH_DATA"
    assert judge(0.95, unknown, None) == "NOT_ENOUGH_DATA"
    assert judge(unknown, unknown, 0.5) == "NOT_ENOUGH_DATA"


def test_a_champion_that_could_not_be_scored_is_not_taken_for_no_champion():
    assert judge(0.95, 0.95, NAN) == "NOT_ENOUGH_DATA"


@given(r2_baseline=figures, r2_current=figures, champion=figures)
@settings(max_examples=200)
def test_any_scores_get_a_verdict_and_a_reason(r2_baseline, r2_current, champion):
    found = evaluate_challenger(r2_baseline, r2_current, champion, EvaluationRule())
    assert found.decision in set(Verdict)
    assert found.reason


@given(r2_baseline=r2s, r2_current=r2s, champion=st.none() | r2s, gain=st.floats(0, 1))
@settings(max_examples=200)
def test_a_better_challenger_never_gets_a_worse_verdict(r2_baseline, r2_current, champion, gain):
    order = ["REJECT", "SKIP", "DEPLOY"]
    first = order.index(judge(r2_baseline, r2_current, champion))
    assert first <= order.index(judge(r2_baseline + gain, r2_current, champion))
    assert first <= order.index(judge(r2_baseline, r2_current + gain, champion))


@given(r2_baseline=r2s, r2_current=r2s, champion=r2s)
@settings(max_examples=200)
def test_what_is_deployed_passed_the_floor_and_beat_the_champion(r2_baseline, r2_current, champion):
    if judge(r2_baseline, r2_current, champion) == "DEPLOY":
        assert r2_baseline >= 0.60
        assert r2_current > champion + 0.02


def test_the_bounds_of_the_evaluation_rule_are_settings():
    rule = EvaluationRule(r2_floor=0.9, min_gain=0.1)
    assert evaluate_challenger(0.89, 0.95, 0.5, rule).decision == "REJECT"
    assert evaluate_challenger(0.9, 0.59, 0.5, rule).decision == "SKIP"
    assert evaluate_challenger(0.9, 0.61, 0.5, rule).decision == "DEPLOY"


@pytest.mark.parametrize(
    ("scores", "shown"),
    [
        ((0.55, 0.9, 0.8), ["0.5500", "0.60"]),
        ((0.9, 0.91, 0.9), ["0.9100", "0.9000", "+0.0100", "0.02"]),
        ((0.9, 0.95, 0.9), ["0.9500", "0.9000", "+0.0500", "0.02"]),
    ],
)
def test_the_verdict_states_the_figures_behind_it(scores, shown):
    reason = evaluate_challenger(*scores, EvaluationRule()).reason
    assert [figure for figure in shown if figure not in reason] == []


@pytest.mark.parametrize(("gain", "verdict"), [(0.124, "SKIP"), (0.125, "SKIP"), (0.1251, "DEPLOY")])
def test_the_gain_can_be_a_share_of_what_the_champion_leaves(gain, verdict):
    rule = EvaluationRule(min_residual_share=0.25)
    assert evaluate_challenger(0.9, 0.5 + gain, 0.5, rule).decision == verdict


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [((0.001, 0.09), "DEPLOY"), ((0.0, 0.09), "SKIP"), ((-0.01, 0.09), "SKIP"), ((NAN, NAN), "SKIP"), (None, "SKIP")],
)
def test_with_certain_the_interval_has_to_lie_above_zero(interval, verdict):
    rule = EvaluationRule(certain=True)
    assert evaluate_challenger(0.9, 0.95, 0.90, rule, interval).decision == verdict
    assert evaluate_challenger(0.9, 0.95, 0.90, EvaluationRule(), interval).decision == "DEPLOY"
    assert evaluate_challenger(0.9, 0.95, None, rule, None).decision == "DEPLOY"


@given(current=r2s, champion=r2s, low=st.floats(-1, 1), share=st.none() | st.floats(0, 1))
@settings(max_examples=200)
def test_stricter_rules_never_deploy_what_the_plain_one_skips(current, champion, low, share):
    plain = EvaluationRule(min_residual_share=share)
    strict = EvaluationRule(min_residual_share=share, certain=True)
    verdicts = [evaluate_challenger(0.9, current, champion, rule, (low, 1.0)).decision for rule in (plain, strict)]
    assert verdicts in (["SKIP", "SKIP"], ["DEPLOY", "SKIP"], ["DEPLOY", "DEPLOY"])


@pytest.mark.parametrize(
    ("behind", "is_cause", "decision"),
    [(2, True, "ALL_GOOD"), (3, True, "RETRAIN_REACTIVE"), (9, True, "RETRAIN_REACTIVE"), (9, False, "ALL_GOOD")],
)
def test_days_behind_the_naive_are_a_cause_where_that_is_set(behind, is_cause, decision):
    assert retrain(0.95, 0.0, behind=behind, rule=RetrainRule(naive_is_cause=is_cause)) == decision


@pytest.mark.parametrize(("days", "verdict"), [(27, "NOT_ENOUGH_DATA"), (28, "DEPLOY")])
def test_few_days_after_the_baseline_compare_no_challenger_with_the_champion(days, verdict):
    assert evaluate_challenger(0.9, 0.95, 0.9, EvaluationRule(), current_days=days).decision == verdict
    assert evaluate_challenger(0.5, 0.95, 0.9, EvaluationRule(), current_days=days).decision == "REJECT"
    assert evaluate_challenger(0.9, 0.95, None, EvaluationRule(), current_days=days).decision == "DEPLOY"


DAY = date(2026, 3, 10)


@pytest.mark.parametrize(
    ("failed_challenges", "until"),
    [
        ([], None),
        ([DAY], 13),
        ([DAY - timedelta(days=2)], 11),
        ([DAY - timedelta(days=3)], None),
        ([DAY - timedelta(days=6), DAY - timedelta(days=3)], 14),
        ([DAY - timedelta(days=3), DAY - timedelta(days=6)], 14),
        ([DAY - timedelta(days=10), DAY - timedelta(days=7)], None),
        ([DAY - timedelta(days=30), DAY - timedelta(days=20), DAY], 17),
    ],
)
def test_a_retrain_waits_three_days_after_one_failed_challenge_and_seven_after_more(failed_challenges, until):
    assert held_until(DAY, failed_challenges, CooldownRule()) == (until and date(2026, 3, until))


@pytest.mark.parametrize(
    ("comparable_from", "failed_challenges", "until"),
    [(DAY, [], None), (DAY + timedelta(days=1), [], 11), (DAY + timedelta(days=9), [DAY], 19), (DAY, [DAY], 13)],
)
def test_a_retrain_waits_until_a_challenger_can_be_compared(comparable_from, failed_challenges, until):
    found = held_until(DAY, failed_challenges, CooldownRule(), comparable_from)
    assert found == (until and date(2026, 3, until))


@given(
    failed_challenges=st.lists(st.integers(0, 60).map(lambda ago: DAY - timedelta(days=ago)), max_size=6),
    first=st.integers(0, 10),
    later=st.integers(0, 10),
)
def test_a_hold_ends_after_its_day_and_within_the_rule(failed_challenges, first, later):
    until = held_until(DAY, failed_challenges, CooldownRule(first, later))
    assert until is None or DAY < until <= DAY + timedelta(days=max(first, later))

"""The step of the champion: what serves, what is recorded, and that a process that died in between is completed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bike_assets.core.promotion import BY_EVALUATION, Choice, Evaluated, Step, next_step
from bike_assets.core.summary import ModelEntry, Summary, promoted
from bike_assets.errors import BikeError

VERSIONS = (1, 2, 3)


def entry(version: int, **roles: bool) -> ModelEntry:
    return ModelEntry(
        version=version, family="blend", run_id="r", fingerprint=str(version), trained_until="2021-01-01",
        registered_on="2021-01-02", scores={}, parity=0, model_file="f", sha256="s", counters=[], **roles,
    )  # fmt: skip


def registry(champion: int = 0, withdrawn: int = 0) -> Summary:
    return Summary(models=[entry(each, is_champion=each == champion, withdrawn=each == withdrawn) for each in VERSIONS])


DEPLOY_2 = Evaluated(2, 1, "DEPLOY", "better by .02")
ASKED = Choice(3, "Ada", "the newer one overshoots")


def test_a_passed_challenger_replaces_the_champion_it_met():
    step = next_step(None, [DEPLOY_2], registry(champion=1), recorded=1)
    assert step == Step(2, promotes=True, records=True, choice=Choice(2, BY_EVALUATION, "better by .02"))


@pytest.mark.parametrize("decision", ["REJECT", "SKIP", "NOT_ENOUGH_DATA"])
def test_no_other_decision_promotes(decision):
    step = next_step(None, [DEPLOY_2._replace(decision=decision)], registry(champion=1), recorded=1)
    assert step == Step(1, promotes=False, records=False, choice=None)


def test_only_the_newest_evaluation_against_the_present_champion_counts():
    stale, newer = DEPLOY_2._replace(champion_version=3), DEPLOY_2._replace(decision="REJECT")
    assert not next_step(None, [stale], registry(champion=1), recorded=1).promotes
    assert not next_step(None, [newer, DEPLOY_2], registry(champion=1), recorded=1).promotes
    assert next_step(None, [stale, DEPLOY_2], registry(champion=1), recorded=1).promotes


def test_a_withdrawn_version_and_one_that_is_not_registered_do_not_serve_by_evaluation():
    assert not next_step(None, [DEPLOY_2], registry(champion=1, withdrawn=2), recorded=1).promotes
    unknown = DEPLOY_2._replace(challenger_version=9)
    assert not next_step(None, [unknown], registry(champion=1), recorded=1).promotes


def test_a_user_may_let_a_withdrawn_version_serve_whatever_was_evaluated():
    step = next_step(ASKED, [DEPLOY_2], registry(champion=1, withdrawn=3), recorded=1)
    assert step == Step(3, promotes=True, records=True, choice=ASKED)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (replace(ASKED, version=9), "no version 9"),
        (replace(ASKED, version=1), "version 1 is the champion already"),
        (replace(ASKED, decided_by=" "), "needs `by` and `reason`"),
        (replace(ASKED, reason=""), "needs `by` and `reason`"),
    ],
)
def test_a_request_that_cannot_be_met_is_an_error_with_its_reason(asked, message):
    with pytest.raises(BikeError, match=message):
        next_step(asked, [], registry(champion=1), recorded=1)


def test_without_a_champion_the_error_gives_the_reason_of_the_newest_evaluation():
    with pytest.raises(BikeError, match="there is no champion: nothing was evaluated yet"):
        next_step(None, [], registry(), recorded=0)
    rejected = Evaluated(1, 0, "REJECT", "R² on test_baseline is below the floor")
    with pytest.raises(BikeError, match="there is no champion: R² on test_baseline is below the floor"):
        next_step(None, [rejected], registry(), recorded=0)


def test_a_promotion_whose_record_is_missing_is_recorded_with_the_evaluation_that_led_to_it():
    step = next_step(None, [Evaluated(3, 2, "SKIP", "no gain"), DEPLOY_2], registry(champion=2), recorded=1)
    assert step == Step(2, promotes=False, records=True, choice=Choice(2, BY_EVALUATION, "better by .02"))
    assert next_step(None, [], registry(champion=2), recorded=1).choice is None


@given(
    asked=st.none() | st.builds(Choice, st.sampled_from(VERSIONS), st.just("Ada"), st.just("why")),
    evaluations=st.lists(
        st.builds(
            Evaluated,
            st.sampled_from(VERSIONS),
            st.sampled_from((0, *VERSIONS)),
            st.sampled_from(["DEPLOY", "REJECT", "SKIP"]),
            st.just("r"),
        )
    ),
    champion=st.sampled_from((0, *VERSIONS)),
    withdrawn=st.sampled_from((0, *VERSIONS)),
    recorded=st.sampled_from((0, *VERSIONS)),
    dies=st.booleans(),
)
def test_the_run_after_a_step_finds_its_version_serving_and_completes_what_a_dead_process_left(
    asked, evaluations, champion, withdrawn, recorded, dies
):
    before = registry(champion, withdrawn if withdrawn != champion else 0)
    try:
        step = next_step(asked, evaluations, before, recorded)
    except BikeError:
        return
    after = promoted(before, step.version, "2021-01-03", asked is not None, "r") if step.promotes else before
    assert after.champion
    assert after.champion.version == step.version
    assert asked or not after.champion.withdrawn
    assert step.records == (recorded != step.version)
    assert next_step(None, [], after, recorded if dies else step.version).records == (dies and step.records)

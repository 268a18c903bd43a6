"""A training on trial: it runs, it is audited, and it leaves no version behind."""

import dagster as dg
import pytest

from bike_assets_tests.conftest import City


def test_a_trial_is_audited_and_registers_nothing(city: City):
    before = city.resource("registry").read()
    config = {"ops": {"trial": {"config": {"families": ["gradient_boosting"]}}}}
    result = city.run("try_training", run_config=config, tags={"bike/reason": "curious"})
    assert result.success
    assert city.resource("registry").read() == before
    [row] = city.query("SELECT * FROM monitoring_audit.training_runs WHERE run_id = @run", run=result.run_id).to_dict(
        "records"
    )
    assert (row["family"], row["status"], row["trigger"], row["cause"]) == (
        "gradient_boosting",
        "trial",
        "FORCED",
        "curious",
    )
    assert 0.5 < row["r2_baseline"] < 1
    assert row["model_version"] is None or row["model_version"] != row["model_version"]
    [output] = [event for event in result.all_events if event.event_type == dg.DagsterEventType.STEP_OUTPUT]
    assert "gradient_boosting" in output.event_specific_data.metadata


def test_a_family_that_is_none_fails_in_words(city: City):
    with pytest.raises(dg.Failure, match="there is no family 'xgboost'"):
        city.run("try_training", run_config={"ops": {"trial": {"config": {"families": ["xgboost"]}}}})

"""A trial training: does it work, and about how good is it? It records audit rows and registers no version."""

import time

import dagster as dg
from pydantic import Field

from bike_assets.automation.jobs import ONE_TRAINING_AT_A_TIME
from bike_assets.core.families import FAMILIES
from bike_assets.core.model_report import score_table
from bike_assets.core.schemas import TRAINING_RUNS
from bike_assets.core.splits import TEST_BASELINE, TEST_CURRENT
from bike_assets.core.training import Training, train_and_score
from bike_assets.resources.audit import append
from bike_assets.resources.training_data import read_training_data
from bike_assets.resources.warehouse import Warehouse
from bike_assets.run_tags import trigger_of
from bike_assets.settings import Settings


class Trial(dg.Config):
    """Which families to try."""

    families: list[str] = Field(default=list(FAMILIES), description="Names of model families.")


@dg.op(pool="training")
def trial(
    context: dg.OpExecutionContext,
    config: Trial,
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Train families in seconds on the sets as they were last cut, and score them."""
    unknown = [name for name in config.families if name not in FAMILIES]
    if unknown:
        raise dg.Failure(f"there is no family {unknown[0]!r}; there are {', '.join(FAMILIES)}", allow_retries=False)
    data, tables = read_training_data(warehouse, settings), {}
    for name in config.families:
        began, family = time.monotonic(), FAMILIES[name]
        model = family(family.quick_config(), settings.seed, settings.threads)
        model.log_progress = context.log.info
        training = train_and_score(model, data.rows, data.tests, data.spans)
        tables[name] = dg.MetadataValue.md(score_table(training))
        row = {
            "trained_on": data.cut_on,
            "family": name,
            "status": "trial",
            "seconds": time.monotonic() - began,
            "rows_seen": len(data.rows),
            **_figures(training),
            **trigger_of(context),
        }
        append(warehouse, TRAINING_RUNS, [row], run_id=context.run.run_id, settings=settings, data_versions=data.hashes)
    context.add_output_metadata(tables)


def _figures(training: Training) -> dict[str, float]:
    """Return the day-ahead scores on both test sets, by audit column."""
    return {
        f"{metric}_{name.removeprefix('test_')}": getattr(training.scores[name, 1], metric)
        for name in (TEST_BASELINE, TEST_CURRENT)
        for metric in ("r2", "rmse")
    }


@dg.job(
    description="Train families in seconds, to see that a training works; no version is registered.",
    executor_def=dg.in_process_executor,
    tags=ONE_TRAINING_AT_A_TIME,
)
def try_training() -> None:
    """Train families for trial."""
    trial()

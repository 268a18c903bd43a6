"""One asset per model family, from one factory: read, train, record, register. Families are in `core.families`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from pydantic import create_model

from bike_assets.core.families import FAMILIES, Family, FamilyConfig
from bike_assets.core.families.base import data_fingerprint, fingerprint
from bike_assets.core.families.blend import MEMBERS, Blend
from bike_assets.core.model_report import ModelReport, report_of, score_table
from bike_assets.core.plots import as_markdown
from bike_assets.core.schemas import TRAINING_RUNS
from bike_assets.core.splits import TEST_BASELINE, TEST_CURRENT, TRAIN_BASELINE, TRAIN_CURRENT
from bike_assets.core.summary import ModelEntry
from bike_assets.core.training import Training, train_and_score
from bike_assets.resources.audit import append
from bike_assets.resources.registry import Registry
from bike_assets.resources.tracking import Tracking, TrainingIdentity
from bike_assets.resources.training_data import TrainingData, read_training_data
from bike_assets.resources.warehouse import Warehouse
from bike_assets.run_tags import trigger_of
from bike_assets.settings import Settings

TEST_SETS = (TEST_BASELINE, TEST_CURRENT)


def model_asset(family: type[Family]) -> dg.AssetsDefinition:
    """Return the asset that trains a family on the sliding window and registers the version."""
    others = [member.name for member in MEMBERS] if family is Blend else []

    @dg.asset(
        name=family.name,
        deps=[TRAIN_BASELINE, TRAIN_CURRENT, *TEST_SETS, *others],
        description=f"{(family.__doc__ or '').strip().splitlines()[0]} Fitted on train_baseline and train_current.",
        kinds=family.kinds,
        code_version=family.code_version,
        pool="training",
    )
    def model(
        context: dg.AssetExecutionContext,
        config: launchpad_config(family),  # type: ignore[valid-type]
        warehouse: dg.ResourceParam[Warehouse],
        registry: dg.ResourceParam[Registry],
        mlflow: dg.ResourceParam[Tracking],
        settings: dg.ResourceParam[Settings],
    ) -> dg.MaterializeResult:
        chosen = _chosen_config(family, config, settings)
        data = read_training_data(warehouse, settings)
        with _audited(context, warehouse, settings, family, data) as row:
            trained_on = data_fingerprint(data.identity)
            members = {name: entry for name in others if (entry := registry.read().latest_on(name, trained_on))}
            identity = _identity(context, family, chosen, settings, data, members)
            known = registry.read().by_fingerprint(identity.fingerprint)
            if known:
                context.log.info(f"version {known.version} was trained on the same data: nothing to train")
                row |= {"status": "known", **_audit_figures(known)}
                return _result(known, mlflow, settings, {"trained": "before, on the same data"})
            run_id = mlflow.begin(identity)
            model = family(chosen, settings.seed, settings.threads)
            model.log_progress = context.log.info
            if isinstance(model, Blend):
                model.adopt({name: registry.trained(entry) for name, entry in members.items()})
            training = train_and_score(model, data.rows, data.tests, data.spans)
            facts, report = {**data.facts, **model.facts()}, report_of(training)
            parameters = {**chosen.model_dump(), "seed": settings.seed, **facts}
            version = mlflow.record(run_id, identity, training.trained, parameters, report)
            entry = _entry(version, run_id, identity, trained_on, training, data, registry)
            registry.add(entry)
            row |= {"status": "trained", "rows_seen": len(data.rows), **_audit_figures(entry)}
            return _result(entry, mlflow, settings, {"trained": "now", **facts, **_shown(training, report)})

    return model


def launchpad_config(family: type[Family]) -> type[dg.Config]:
    """Return a family's hyper-parameters for the launchpad, with their defaults and descriptions."""
    fields: dict[str, Any] = {
        name: (field.annotation, field) for name, field in family.config_type.model_fields.items()
    }
    return create_model(f"{family.config_type.__name__}Launchpad", __base__=dg.Config, **fields)


@contextmanager
def _audited(
    context: dg.AssetExecutionContext,
    warehouse: Warehouse,
    settings: Settings,
    family: type[Family],
    data: TrainingData,
) -> Iterator[dict[str, Any]]:
    """Append a row to TRAINING_RUNS when the body succeeds or fails. The body fills in what it knows."""
    row: dict[str, Any] = {"trained_on": data.cut_on, "family": family.name, "status": "failed"}
    began = time.monotonic()
    try:
        yield row
    except Exception as error:
        row["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
        raise
    finally:
        row = {**row, **trigger_of(context), "seconds": time.monotonic() - began}
        append(warehouse, TRAINING_RUNS, [row], run_id=context.run.run_id, settings=settings, data_versions=data.hashes)


def _audit_figures(entry: ModelEntry) -> dict[str, Any]:
    scores = {
        f"{metric}_{name.removeprefix('test_')}": entry.scores[name][metric]
        for name in TEST_SETS
        for metric in ("r2", "rmse")
    }
    return {"model_version": entry.version, "mlflow_run_id": entry.run_id, **scores}


def _identity(
    context: dg.AssetExecutionContext,
    family: type[Family],
    chosen: FamilyConfig,
    settings: Settings,
    data: TrainingData,
    members: dict[str, ModelEntry],
) -> TrainingIdentity:
    learned_from = [data_fingerprint(data.identity), *(each.fingerprint for each in members.values())]
    return TrainingIdentity(
        family.name,
        fingerprint(family, chosen, settings.seed, learned_from),
        {"dagster/run_id": context.run.run_id, **{f"data/{name}": value for name, value in data.hashes.items()}},
    )


def _chosen_config(family: type[Family], config: dg.Config, settings: Settings) -> FamilyConfig:
    """Return the launchpad's values. If they are the defaults and BIKE_QUICK is set, return those that take seconds."""
    requested = family.config_type(**config.model_dump())
    return family.quick_config() if settings.quick and requested == family.config_type() else requested


def _entry(
    version: int,
    run_id: str,
    identity: TrainingIdentity,
    trained_on: str,
    training: Training,
    data: TrainingData,
    registry: Registry,
) -> ModelEntry:
    trained = training.trained
    return ModelEntry(
        version=version,
        family=identity.family,
        run_id=run_id,
        fingerprint=identity.fingerprint,
        data=trained_on,
        trained_until=str(data.last_day),
        registered_on=str(data.cut_on),
        scores={name: {k: float(v) for k, v in training.scores[name, 1].as_row().items()} for name in TEST_SETS},
        parity=training.parity,
        model_file=registry.write_model(identity.family, trained.onnx, trained.sha256),
        sha256=trained.sha256,
        counters=trained.counters,
    )


def _shown(training: Training, report: ModelReport) -> dict[str, Any]:
    """Return the scores, those of the seasonal naive, and the plots, as metadata."""
    plots = {name.removesuffix(".png"): as_markdown(figure, name) for name, figure in report.figures.items()}
    naive = {f"naive_r2_{name}": training.naive_scores[name, 1].r2 for name in TEST_SETS}
    shown = {"scores": score_table(training), **plots}
    return {**naive, **{name: dg.MetadataValue.md(text) for name, text in shown.items()}}


def _result(entry: ModelEntry, mlflow: Tracking, settings: Settings, more: dict) -> dg.MaterializeResult:
    figures = {f"{metric}_{name}": entry.scores[name][metric] for name in TEST_SETS for metric in ("r2", "rmse", "mae")}
    page = dg.MetadataValue.url(mlflow.run_url(entry.run_id, settings.mlflow_address))
    return dg.MaterializeResult(
        data_version=dg.DataVersion(entry.sha256[:16]),
        metadata={"version": entry.version, **figures, "parity": entry.parity, "mlflow_run": page, **more},
    )


models = [model_asset(family) for family in FAMILIES.values()]

"""One asset a model family, from one factory: read, train, record, register. Families are in `core.families`."""

import dagster as dg
import pandas as pd

from bike_assets.core.families import FAMILIES, Family, FamilyConfig
from bike_assets.core.families.base import fingerprint
from bike_assets.core.plots import as_markdown, city_by_hour
from bike_assets.core.training import Training, train_and_score
from bike_assets.resources.queries import (
    TEST_BASELINE,
    TEST_CURRENT,
    TRAIN_BASELINE,
    TRAIN_CURRENT,
    read_features,
    recorded_span,
    recorded_split,
)
from bike_assets.resources.registry import LocalRegistry, ModelEntry
from bike_assets.resources.tracking import Tracking, TrainingRecord
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings

TRAIN_SETS = (TRAIN_BASELINE, TRAIN_CURRENT)
TEST_SETS = (TEST_BASELINE, TEST_CURRENT)


def model_asset(family: type[Family]) -> dg.AssetsDefinition:
    """Return the asset that trains a family on the sliding window and registers the version."""

    @dg.asset(
        name=family.name,
        deps=[*TRAIN_SETS, *TEST_SETS],
        description=f"{(family.__doc__ or '').strip()} Fitted on train_baseline and train_current.",
        kinds=family.kinds,
        code_version=family.code_version,
        pool="training",
    )
    def model(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        registry: dg.ResourceParam[LocalRegistry],
        tracking: dg.ResourceParam[Tracking],
        settings: dg.ResourceParam[Settings],
    ) -> dg.MaterializeResult:
        config = family.quick_config() if settings.quick else family.config_type()
        hashes = {name: (recorded_split(warehouse, name) or {})["content_hash"] for name in (*TRAIN_SETS, *TEST_SETS)}
        identity = fingerprint(family, config, settings.seed, [hashes[name] for name in TRAIN_SETS])
        known = registry.read().by_fingerprint(identity)
        if known:
            context.log.info(f"version {known.version} was trained on these very data: nothing to train")
            return _result(known, {"trained": "before, on the same data"})
        rows = _read_sets(warehouse, TRAIN_SETS)
        context.log.info(f"fitting on {len(rows):,} rows of {rows['day'].nunique()} days")
        tests = {name: _read_sets(warehouse, [name]) for name in TEST_SETS}
        training = train_and_score(family(config, settings.seed, settings.threads), rows, tests)
        context.log.info("recording the version in MLflow and in the registry")
        tags = {"dagster/run_id": context.run.run_id, **{f"data/{name}": value for name, value in hashes.items()}}
        record = _record(family, identity, config, training, tags, {"seed": settings.seed, "rows": len(rows)})
        entry = _register(registry, tracking.record(record), record, training, rows, warehouse)
        picture = as_markdown(record.figures["newest_week.png"], "newest week")
        return _result(entry, {"trained": f"on {len(rows):,} rows", "newest_week": dg.MetadataValue.md(picture)})

    return model


def _read_sets(warehouse: Warehouse, names: tuple[str, ...] | list[str]) -> pd.DataFrame:
    spans = (recorded_span(warehouse, name) for name in names)
    return read_features(warehouse, [span for span in spans if span])


def _record(
    family: type[Family], identity: str, config: FamilyConfig, training: Training, tags: dict, facts: dict
) -> TrainingRecord:
    metrics = {
        f"{metric}_{name}_h{horizon}": float(value)
        for (name, horizon), scores in training.scores.items()
        for metric, value in scores.as_row().items()
    }
    figures = {"newest_week.png": city_by_hour(training.newest_week, "Newest week of test_current, day ahead")}
    parameters = {**config.model_dump(), **facts}
    return TrainingRecord(family.name, identity, training.trained.onnx, parameters, metrics, tags, figures)


def _register(
    registry: LocalRegistry,
    run_and_version: tuple[str, int],
    record: TrainingRecord,
    training: Training,
    rows: pd.DataFrame,
    warehouse: Warehouse,
) -> ModelEntry:
    trained = training.trained
    entry = ModelEntry(
        version=run_and_version[1],
        family=record.family,
        run_id=run_and_version[0],
        fingerprint=record.fingerprint,
        trained_until=str(rows["day"].max().date()),
        registered_on=str((recorded_split(warehouse, TEST_CURRENT) or {})["cut_on"]),
        scores={name: {k: float(v) for k, v in training.scores[name, 1].as_row().items()} for name in TEST_SETS},
        parity=training.parity,
        model_file=registry.write_model(record.family, trained.onnx, trained.sha256),
        sha256=trained.sha256,
        counters=trained.counters,
    )
    registry.add(entry)
    return entry


def _result(entry: ModelEntry, more: dict) -> dg.MaterializeResult:
    figures = {f"{metric}_{name}": entry.scores[name][metric] for name in TEST_SETS for metric in ("r2", "rmse", "mae")}
    return dg.MaterializeResult(
        data_version=dg.DataVersion(entry.sha256[:16]),
        metadata={"version": entry.version, **figures, "parity": entry.parity, "mlflow_run": entry.run_id, **more},
    )


models = [model_asset(family) for family in FAMILIES.values()]

"""One asset a model family, from one factory: read, train, record, register. Families are in `core.families`."""

from typing import Any

import dagster as dg
import pandas as pd
from pydantic import create_model

from bike_assets.core.families import FAMILIES, Family, FamilyConfig
from bike_assets.core.families.base import data_fingerprint, fingerprint
from bike_assets.core.families.blend import MEMBERS, Blend
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
    others = [member.name for member in MEMBERS] if family is Blend else []

    @dg.asset(
        name=family.name,
        deps=[*TRAIN_SETS, *TEST_SETS, *others],
        description=f"{(family.__doc__ or '').strip().splitlines()[0]} Fitted on train_baseline and train_current.",
        kinds=family.kinds,
        code_version=family.code_version,
        pool="training",
    )
    def model(
        context: dg.AssetExecutionContext,
        config: launchpad_config(family),  # type: ignore[valid-type]
        warehouse: dg.ResourceParam[Warehouse],
        registry: dg.ResourceParam[LocalRegistry],
        tracking: dg.ResourceParam[Tracking],
        settings: dg.ResourceParam[Settings],
    ) -> dg.MaterializeResult:
        chosen = _chosen_config(family, config, settings)
        hashes = {name: (recorded_split(warehouse, name) or {})["content_hash"] for name in (*TRAIN_SETS, *TEST_SETS)}
        data = data_fingerprint([hashes[name] for name in TRAIN_SETS])
        members = {name: entry for name in others if (entry := registry.read().latest_on(name, data))}
        identity = fingerprint(family, chosen, settings.seed, [data, *(each.fingerprint for each in members.values())])
        known = registry.read().by_fingerprint(identity)
        if known:
            context.log.info(f"version {known.version} was trained on these very data: nothing to train")
            return _result(known, {"trained": "before, on the same data"})
        rows = _read_sets(warehouse, TRAIN_SETS)
        context.log.info(f"fitting on {len(rows):,} rows of {rows['day'].nunique()} days")
        tests = {name: _read_sets(warehouse, [name]) for name in TEST_SETS}
        model = family(chosen, settings.seed, settings.threads)
        if isinstance(model, Blend):
            model.adopt({name: registry.trained(entry) for name, entry in members.items()})
        training = train_and_score(model, rows, tests)
        context.log.info("recording the version in MLflow and in the registry")
        tags = {"dagster/run_id": context.run.run_id, **{f"data/{name}": value for name, value in hashes.items()}}
        facts = {"seed": settings.seed, "rows": len(rows), **model.facts()}
        record = _record(family, identity, chosen, training, tags, facts)
        entry = _register(registry, tracking.record(record), record, training, rows, data, warehouse)
        picture = as_markdown(record.figures["newest_week.png"], "newest week")
        told = {"trained": f"on {len(rows):,} rows", **model.facts(), "newest_week": dg.MetadataValue.md(picture)}
        return _result(entry, told)

    return model


def launchpad_config(family: type[Family]) -> type[dg.Config]:
    """Return a family's hyper-parameters as the launchpad shows them, with their defaults and descriptions."""
    fields: dict[str, Any] = {
        name: (field.annotation, field) for name, field in family.config_type.model_fields.items()
    }
    return create_model(f"{family.config_type.__name__}Launchpad", __base__=dg.Config, **fields)


def _chosen_config(family: type[Family], config: dg.Config, settings: Settings) -> FamilyConfig:
    """What the launchpad says; where it says nothing, the defaults, or with BIKE_QUICK those that take seconds."""
    asked = family.config_type(**config.model_dump())
    return family.quick_config() if settings.quick and asked == family.config_type() else asked


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
    data: str,
    warehouse: Warehouse,
) -> ModelEntry:
    trained = training.trained
    entry = ModelEntry(
        version=run_and_version[1],
        family=record.family,
        run_id=run_and_version[0],
        fingerprint=record.fingerprint,
        data=data,
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

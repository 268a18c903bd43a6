"""The double evaluation: challenger, champion and seasonal naive on the same rows. The rule is in `core.decisions`."""

import dagster as dg
import pandas as pd

from bike_assets.core.decisions import Decision, Verdict, evaluate_challenger
from bike_assets.core.families import FAMILIES
from bike_assets.core.features import SEASONAL
from bike_assets.core.schemas import DEPLOYMENT_DECISIONS
from bike_assets.core.scoring import Scores, score
from bike_assets.resources.queries import TEST_BASELINE, TEST_CURRENT, read_features, recorded_span, recorded_split
from bike_assets.resources.registry import LocalRegistry, ModelEntry, Summary
from bike_assets.resources.table_rows import frame
from bike_assets.resources.tracking import CHALLENGER, Tracking
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings

SETS = {"baseline": TEST_BASELINE, "current": TEST_CURRENT}


@dg.asset(deps=list(FAMILIES), kinds={"onnx", "parquet"})
def double_evaluation(
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[LocalRegistry],
    mlflow: dg.ResourceParam[Tracking],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Score challenger, champion and seasonal naive on both test sets at horizon 1, decide, and write it down."""
    summary = registry.read()
    challenger = pick_challenger(summary)
    rows = {short: _rows(warehouse, name, settings.left_out) for short, name in SETS.items()}
    scores = {"": _scores(registry, challenger, rows), "naive_": _naive_scores(rows)}
    if summary.champion:
        scores["champion_"] = _scores(registry, summary.champion, rows)
    decision = _decide(challenger, summary, scores, settings)
    row = _audit_row(warehouse, challenger, summary, scores, decision, rows)
    warehouse.merge(DEPLOYMENT_DECISIONS, frame(DEPLOYMENT_DECISIONS, [row]))
    is_champion = summary.champion is not None and summary.champion.version == challenger.version
    mlflow.let_alias_name(CHALLENGER, None if is_champion else challenger.version)
    return dg.MaterializeResult(
        metadata={
            "decision": str(decision.decision),
            "reason": decision.reason,
            "scores": dg.MetadataValue.md(_scoreboard(challenger, summary.champion, scores)),
            "challenger_version": challenger.version,
            **{name: float(row[name]) for name in ("r2_baseline", "r2_current", "naive_r2_current")},
        }
    )


def pick_challenger(summary: Summary) -> ModelEntry:
    """Return the newest version of the family that is best on test_current.

    Raises:
        dg.Failure: nothing was trained yet.
    """
    latest = [entry for name in FAMILIES if (entry := summary.latest(name))]
    if not latest:
        raise dg.Failure("no model was trained yet: materialize a model family first", allow_retries=False)
    return max(latest, key=lambda entry: entry.scores[TEST_CURRENT]["r2"])


def _decide(
    challenger: ModelEntry, summary: Summary, scores: dict[str, dict[str, Scores]], settings: Settings
) -> Decision:
    if summary.champion and summary.champion.version == challenger.version:
        return Decision(Verdict.SKIP, f"version {challenger.version} is the champion already")
    champion = scores["champion_"]["current"].r2 if summary.champion else None
    return evaluate_challenger(
        scores[""]["baseline"].r2,
        scores[""]["current"].r2,
        champion,
        settings.evaluation_rule,
    )


def _rows(warehouse: Warehouse, name: str, left_out: list[str]) -> pd.DataFrame:
    span = recorded_span(warehouse, name)
    if span is None:
        raise dg.Failure(f"{name} was not cut yet", allow_retries=False)
    return read_features(warehouse, [span], left_out, horizon=1)


def _scores(registry: LocalRegistry, entry: ModelEntry, rows: dict[str, pd.DataFrame]) -> dict[str, Scores]:
    model = registry.load(entry)
    return {name: score(each["bike_count"], model.predict(each)) for name, each in rows.items()}


def _naive_scores(rows: dict[str, pd.DataFrame]) -> dict[str, Scores]:
    return {name: score(each["bike_count"], each[SEASONAL]) for name, each in rows.items()}


def _audit_row(
    warehouse: Warehouse,
    challenger: ModelEntry,
    summary: Summary,
    scores: dict[str, dict[str, Scores]],
    decision: Decision,
    rows: dict[str, pd.DataFrame],
) -> dict:
    records = {short: recorded_split(warehouse, name) or {} for short, name in SETS.items()}
    figures = {
        f"{role}{metric}_{name}": getattr(each, metric)
        for role, by_set in scores.items()
        for name, each in by_set.items()
        for metric in ("r2", "rmse")
    }
    return {
        "decided_on": records["current"]["cut_on"],
        "challenger_version": challenger.version,
        "challenger_family": challenger.family,
        "champion_version": summary.champion.version if summary.champion else 0,
        "decision": str(decision.decision),
        "reason": decision.reason,
        **figures,
        **{f"rows_{name}": len(each) for name, each in rows.items()},
        **{f"test_{name}_hash": record["content_hash"] for name, record in records.items()},
    }


def _scoreboard(challenger: ModelEntry, champion: ModelEntry | None, scores: dict[str, dict[str, Scores]]) -> str:
    names = {"": f"challenger, version {challenger.version} ({challenger.family})", "naive_": "seasonal naive"}
    if champion:
        names["champion_"] = f"champion, version {champion.version} ({champion.family})"
    lines = ["| | R² baseline | R² current | RMSE baseline | RMSE current |", "|---|---|---|---|---|"]
    for role, by_set in scores.items():
        figures = [f"{by_set[name].r2:.4f}" for name in SETS] + [f"{by_set[name].rmse:.2f}" for name in SETS]
        lines.append(f"| {names[role]} | {' | '.join(figures)} |")
    return "\n".join(lines)

"""Every query of the platform over a partitioned table has a bound on the partitions.

BigQuery refuses any other, as it bills for all that a statement reads.
"""

import ast
from collections.abc import Iterator
from datetime import date

import pytest
import sqlglot
from sqlglot import exp

from bike_assets.core.schemas import TABLES
from bike_assets.instance.home_instance import REPOSITORY
from bike_assets.resources.bigquery_merge import MergeStatements
from bike_assets.resources.warehouse import with_views

PARTITIONED = {table.full_name: table.partition for table in TABLES if table.partition}
BOUNDS = (exp.Between, exp.EQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.In)


def statements() -> Iterator[tuple[str, str]]:
    """Every text of the code that asks for a table, with the place where it stands."""
    for folder in ("bike_assets", "serving"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and "SELECT " in node.value:
                    yield f"{path.relative_to(REPOSITORY)}:{node.lineno}", node.value


def unbounded(sql: str) -> list[str]:
    """The partitioned tables that a statement reads without a constant bound on their partitions."""
    found = sqlglot.parse_one(with_views(sql), read="bigquery").find_all(exp.Table)
    return [
        name for table in found if (name := f"{table.db}.{table.name}") in PARTITIONED and not _bounded(table, name)
    ]


def _bounded(table: exp.Table, name: str) -> bool:
    where = table.find_ancestor(exp.Select).args.get("where")
    alone = table.find_ancestor(exp.Select).args.get("joins") is None
    conditions = where.this.flatten() if where and isinstance(where.this, exp.And) else [where.this] if where else []
    return any(
        isinstance(each, BOUNDS)
        and isinstance(each.this, exp.Column)
        and each.this.name == PARTITIONED[name]
        and (each.this.table == table.alias_or_name or (alone and not each.this.table))
        and len(list(each.find_all(exp.Column))) == 1
        and not each.find(exp.Select)
        for each in conditions
    )


ASKED = [(place, sql) for place, sql in statements() if any(name in sql for name in PARTITIONED)]


def test_the_queries_are_found():
    assert len(ASKED) > 15
    assert {place.split("/")[0] for place, _ in ASKED} == {"bike_assets"}


@pytest.mark.parametrize(("place", "sql"), ASKED, ids=[place for place, _ in ASKED])
def test_a_query_has_a_bound_on_the_partitions(place, sql):
    assert unbounded(sql) == [], place


@pytest.mark.parametrize("whole", [(), (date(2025, 1, 2),)], ids=["some rows", "whole days"])
@pytest.mark.parametrize("table", [table for table in TABLES if table.partition], ids=lambda table: table.full_name)
def test_a_merge_has_a_bound_on_the_partitions(table, whole):
    made = MergeStatements(table, table.full_name, "staging.rows", (date(2025, 1, 1), date(2025, 1, 3)), whole)
    assert unbounded(made.statuses) == []
    assert unbounded(made.withdrawn) == []
    merge = sqlglot.parse_one(made.merge, read="bigquery")
    deleting = [each.args["condition"] for each in merge.find_all(exp.When) if each.args.get("source")]
    assert len(deleting) == len(whole)
    for condition in (merge.args["on"], *deleting):
        bounds = [each for each in condition.flatten() if isinstance(each, exp.Between)]
        assert [(each.this.table, each.this.name) for each in bounds] == [("old", table.partition)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM bike_traffic_raw.weather",
        "SELECT * FROM bike_traffic_raw.weather WHERE lead_days = 0",
        "SELECT * FROM bike_traffic_raw.weather WHERE day = @day OR lead_days = 0",
        "SELECT * FROM bike_traffic_raw.weather WHERE day = (SELECT MAX(day) FROM monitoring_audit.ingestions)",
        "SELECT * FROM bike_traffic_raw.weather AS w JOIN monitoring_audit.ingestions AS i ON TRUE WHERE i.day = @day",
        "SELECT * FROM bike_traffic_raw.weather AS w JOIN monitoring_audit.ingestions AS i ON TRUE WHERE w.day = i.day",
        "SELECT * FROM (SELECT * FROM bike_traffic_raw.weather) WHERE day = @day",
    ],
)
def test_a_missing_bound_is_found(sql):
    assert unbounded(sql) == ["bike_traffic_raw.weather"]

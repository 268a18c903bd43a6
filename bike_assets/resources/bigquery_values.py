"""Converts values for BigQuery and back: query parameters with their types, and result rows as frames.

`table_rows` prepares the rows to store, for every engine.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from google.cloud import bigquery

from bike_assets.core.schemas import TABLES
from bike_assets.resources.duckdb_engine import open_engine

Parameter = bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter


def typed_parameters(values: Mapping[str, Any]) -> list[Parameter]:
    """Return @named parameters, typed by their values.

    Raises:
        TypeError: BigQuery has no type for a value, or a list mixes types other than integers and floats.
    """
    return [_typed(name, value) for name, value in values.items()]


def _typed(name: str, value: Any) -> Parameter:
    if not isinstance(value, (list, tuple, set, frozenset, np.ndarray)):
        return bigquery.ScalarQueryParameter(name, _type_of(name, value), _plain(value))
    kinds = {_type_of(name, each) for each in value} or {"STRING"}
    if kinds == {"INT64", "FLOAT64"}:
        kinds = {"FLOAT64"}
    if len(kinds) > 1:
        raise TypeError(f"@{name}: the values of a list have to be of one type, not {' and '.join(sorted(kinds))}")
    return bigquery.ArrayQueryParameter(name, kinds.pop(), [_plain(each) for each in value])


def _type_of(name: str, value: Any) -> str:
    # In Python a bool is also an int, and a datetime also a date: the narrower type comes first.
    kinds: list[tuple[tuple[type, ...], str]] = [
        ((bool, np.bool_), "BOOL"),
        ((int, np.integer), "INT64"),
        ((float, np.floating), "FLOAT64"),
        ((datetime,), "TIMESTAMP"),
        ((date,), "DATE"),
        ((str, type(None)), "STRING"),
    ]
    found = next((kind for types, kind in kinds if isinstance(value, types)), None)
    if found is None:
        raise TypeError(f"@{name}: BigQuery has no type for {type(value).__name__}")
    return found


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def frame_of(rows: pa.Table, single_precision: set[str]) -> pd.DataFrame:
    """Return rows in the same form as the embedded engine, which builds the frame.

    Args:
        rows: BigQuery's answer.
        single_precision: FLOAT64 columns that hold float32 values.
    """
    kinds = [pa.float32() if each.name in single_precision else each.type for each in rows.schema]
    narrowed = rows.cast(pa.schema(zip(rows.column_names, kinds, strict=True)))
    with open_engine(threads=2) as engine:
        return engine.from_arrow(narrowed).df()


def single_precision_columns(sql: str) -> set[str]:
    """Return the result columns of a query that come unchanged from a table's float32 columns."""
    narrow = {table.full_name: table for table in TABLES if table.single_precision and table.full_name in sql}
    if not narrow:
        return set()
    import sqlglot
    from sqlglot import exp

    query = sqlglot.parse_one(sql, read="bigquery")
    source = query.args.get("from_") or query.args.get("from")
    if not isinstance(query, exp.Select) or source is None or not isinstance(source.this, exp.Table):
        return set()
    table = narrow.get(f"{source.this.db}.{source.this.name}")
    held = {name for name, kind in table.columns.items() if kind == "FLOAT64"} if table else set()
    if query.is_star:
        return held
    columns = {each.alias_or_name: each.unalias() for each in query.selects}
    return {name for name, each in columns.items() if isinstance(each, exp.Column) and each.name in held}

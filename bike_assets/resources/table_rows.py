"""Validates rows and converts them between frames, Arrow tables and plain values. Engines belong to `warehouse`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from bike_assets.core.schemas import Table

if TYPE_CHECKING:
    import pyarrow as pa


def _arrow_schema(table: Table) -> "pa.Schema":
    import pyarrow as pa

    types = {
        "STRING": pa.string(),
        "INT64": pa.int64(),
        "FLOAT64": pa.float32() if table.single_precision else pa.float64(),
        "BOOL": pa.bool_(),
        "DATE": pa.date32(),
        "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    }
    return pa.schema([(name, types[kind]) for name, kind in table.columns.items()])


def validate_rows(table: Table, rows: pd.DataFrame) -> None:
    """Validate rows before a merge into a table.

    Raises:
        ValueError: columns are missing, a key or partition is null, or two rows share a key.
    """
    missing = set(table.columns) - set(rows.columns)
    if missing:
        raise ValueError(f"{table.full_name}: columns missing: {', '.join(sorted(missing))}")
    if rows.duplicated(list(table.key)).any():
        raise ValueError(f"{table.full_name}: two rows share a key ({', '.join(table.key)})")
    identifying = [*table.key, *([table.partition] if table.partition else [])]
    if rows[identifying].isna().any(axis=None):
        raise ValueError(f"{table.full_name}: a row has no value in one of {', '.join(identifying)}")


def validate_parameters(parameters: Mapping[str, Any]) -> None:
    """Refuse a time without a zone: BigQuery would take it as a TIMESTAMP and could not compare it with a DATE.

    Raises:
        TypeError: a parameter is a time without a zone; the message names the parameter.
    """
    for name, value in parameters.items():
        if isinstance(value, datetime) and value.tzinfo is None:
            raise TypeError(f"@{name} is a time without a zone: {value!r}; a day has to be a date")


def to_arrow(table: Table, rows: pd.DataFrame) -> "pa.Table":
    """Return a frame as an Arrow table with the table's columns and types."""
    import pyarrow as pa

    schema = _arrow_schema(table)
    return pa.Table.from_arrays([_to_array(rows[each.name], each.type) for each in schema], schema=schema)


def _to_array(values: pd.Series, kind: "pa.DataType") -> "pa.Array":
    import pyarrow as pa

    if values.isna().all():
        return pa.nulls(len(values), kind)
    if isinstance(values.dtype, pd.CategoricalDtype):
        codes = pa.array(values.cat.codes.to_numpy(), pa.int32(), mask=values.isna().to_numpy())
        return pa.DictionaryArray.from_arrays(
            codes, pa.array(values.cat.categories.to_numpy(object), pa.string())
        ).cast(kind)
    return pa.array(values, kind, from_pandas=True)


def one_row(rows: pd.DataFrame) -> dict[str, Any] | None:
    """Return the first row as plain Python values, with None for missing values; None if there is no row."""
    return next(iter(plain_rows(rows.head(1))), None)


def plain_rows(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return all rows as plain Python values, with None for missing values."""
    found: list[dict[str, Any]] = rows.astype(object).where(rows.notna(), None).to_dict("records")  # type: ignore[assignment]
    return found


def frame(table: Table, rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return plain rows as a frame with the table's columns; a column that a row lacks is null."""
    return pd.DataFrame(list(rows), columns=list(table.columns))

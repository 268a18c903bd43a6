"""Rows of counts as tables with the portal's columns. Choosing the published rows belongs to `publication`."""

from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from bike_assets.core.portal_fields import PortalFields

TEXT = pa.dictionary(pa.int32(), pa.string())
TIME = pa.timestamp("us", tz="UTC")
TYPES = {"counted_at": TIME, "bike_count": pa.int64()}


def portal_schema(fields: PortalFields) -> pa.Schema:
    """Return the portal's columns for ours, in the order of the fields."""
    return pa.schema([(name, TYPES.get(column, TEXT)) for column, name in fields.by_column.items()])


def as_portal_table(rows: pd.DataFrame, fields: PortalFields) -> pa.Table:
    """Convert rows to the portal's columns, sorted by time; rows of the same hour keep their order.

    Args:
        rows: counter_id, counter_name, site_id, site_name, latitude, longitude, counted_at (UTC), bike_count; only
            counted_at must not be null.
        fields: the portal's names.
    """
    if not rows["counted_at"].is_monotonic_increasing:
        rows = rows.sort_values("counted_at", kind="stable")
    columns = [_column(rows, column) for column in fields.by_column]
    return pa.table(columns, schema=portal_schema(fields))


def rows_between(table: pa.Table, fields: PortalFields, start: datetime, end: datetime) -> pa.Table:
    """Return the rows with start <= counted_at < end of a table sorted by time, without a copy."""
    times = table[fields.counted_at].cast(pa.int64()).to_numpy()
    low, high = np.searchsorted(times, [_microseconds(start), _microseconds(end)])
    return table.slice(low, max(high - low, 0))


def _microseconds(moment: datetime) -> int:
    return int(np.datetime64(moment.replace(tzinfo=None), "us").astype(np.int64))


def _column(rows: pd.DataFrame, column: str) -> pa.Array:
    if column == "coordinates":
        return _points(rows["latitude"].to_numpy(dtype=float), rows["longitude"].to_numpy(dtype=float))
    if column in TYPES:
        return pa.Array.from_pandas(rows[column], type=TYPES[column])
    if isinstance(rows[column].dtype, pd.CategoricalDtype):
        return pa.Array.from_pandas(rows[column]).cast(TEXT)
    return pa.Array.from_pandas(rows[column], type=pa.string()).dictionary_encode()


def _points(latitude: np.ndarray, longitude: np.ndarray) -> pa.Array:
    """Points as "lat,lon"; null where latitude or longitude is unknown."""
    codes, points = pd.factorize(latitude + 1j * longitude)
    indices = pa.array(codes, type=pa.int32(), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array([f"{p.real},{p.imag}" for p in points], type=pa.string()))

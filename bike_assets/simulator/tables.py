"""Rows of counts as tables with the portal's columns. Choosing the published rows belongs to `publication`."""

from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from bike_assets.core.portal_fields import PortalFields, key_column
from bike_assets.core.published import KEY_SEPARATOR

TEXT = pa.dictionary(pa.int32(), pa.string())
TIME = pa.timestamp("us", tz="UTC")
TYPES = {"counted_at": TIME, "bike_count": pa.int64()}


def portal_schema(fields: PortalFields) -> pa.Schema:
    """Return the portal's columns for ours, in the order of the fields."""
    return pa.schema([(name, TYPES.get(column, TEXT)) for column, name in _published(fields).items()])


def _published(fields: PortalFields) -> dict[str, str]:
    """The portal's names by our columns: a portal has date and hour in one field."""
    return {column: name for column, name in fields.by_column.items() if column != "hour_of_day"}


def as_portal_table(rows: pd.DataFrame, fields: PortalFields) -> pa.Table:
    """Convert rows to the portal's columns, sorted by time; rows of the same hour keep their order.

    Args:
        rows: counter_id, counter_name, site_id, site_name, latitude, longitude, counted_at (UTC), bike_count; only
            counted_at must not be null.
        fields: the portal's names.
    """
    if not rows["counted_at"].is_monotonic_increasing:
        rows = rows.sort_values("counted_at", kind="stable")
    key = [key_column(number) for number in range(len(fields.key))] if len(fields.key) > 1 else []
    columns = [
        _key_field(rows["counter_id"], key.index(column)) if column in key else _column(rows, column)
        for column in _published(fields)
    ]
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


def _key_field(counters: pd.Series, number: int) -> pa.Array:
    """One field of the key of each counter; an id of fewer parts has "1" in the others."""
    words = counters.astype("category").cat
    parts = [str(counter).split(KEY_SEPARATOR) for counter in words.categories]
    values = [each[number] if number < len(each) else "1" for each in parts]
    codes = words.codes.to_numpy().astype("int32")
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), pa.array(values, type=pa.string()))


def _points(latitude: np.ndarray, longitude: np.ndarray) -> pa.Array:
    """Points as "lat,lon"; null where latitude or longitude is unknown."""
    codes, points = pd.factorize(latitude + 1j * longitude)
    indices = pa.array(codes, type=pa.int32(), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array([f"{p.real},{p.imag}" for p in points], type=pa.string()))

"""A digest of rows that depends neither on their order nor on the engine that they were read from.

A digest of rows in their order, for audit rows, is in `audit`.
"""

import pandas as pd

from bike_assets.core.schemas import Table
from bike_assets.resources.table_rows import to_arrow


def unordered_digest(table: Table, rows: pd.DataFrame) -> int:
    """Return the sum of the hashes of all rows, every column of the table included, modulo 2**64."""
    import pyarrow as pa

    if rows.empty:
        return 0
    # Through Arrow, so that a column has one type, whether or not one of its values is missing.
    exact = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    typed = to_arrow(table, rows).to_pandas(types_mapper=exact.get, date_as_object=False)
    return int(pd.util.hash_pandas_object(typed, index=False).sum())

"""A digest of rows that depends neither on their order nor on the engine that returned them.

The digest of audit rows, which depends on the order, belongs to `audit`.
"""

import pandas as pd

from bike_assets.core.schemas import Table
from bike_assets.resources.table_rows import to_arrow


def unordered_digest(table: Table, rows: pd.DataFrame) -> int:
    """Return the sum of the hashes of all rows, over every column of the table, modulo 2**64."""
    import pyarrow as pa

    if rows.empty:
        return 0
    # Convert through Arrow, so that a column has the same type with and without missing values.
    exact = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    typed = to_arrow(table, rows).to_pandas(types_mapper=exact.get, date_as_object=False)
    return int(pd.util.hash_pandas_object(typed, index=False).sum())

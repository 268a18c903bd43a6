"""Reads a portal's export and validates it. Requests belong to `portal`."""

from typing import TYPE_CHECKING

from bike_assets.errors import UnreliableAnswerError
from bike_assets.resources.web import Reply, excerpt

if TYPE_CHECKING:
    import pyarrow as pa

INTERRUPTED = b"Streaming interrupted"


def read_parquet(reply: Reply, fields: list[str], all_fields: bool = False) -> "pa.Table":
    """Return the fields of a Parquet export.

    Args:
        reply: the portal's answer.
        fields: the fields that it has to have.
        all_fields: return the others too.

    Raises:
        UnreliableAnswerError: the export is not Parquet, is incomplete, or lacks a field.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    body, content_type = reply.body, reply.headers.get("content-type", "")
    if INTERRUPTED in body:
        raise UnreliableAnswerError(f"The portal broke off its export: {excerpt(body[body.index(INTERRUPTED) :])}.")
    if content_type.startswith("text/"):
        raise UnreliableAnswerError(f"The portal's export is {content_type}, not Parquet: {excerpt(body)}.")
    try:
        file = pq.ParquetFile(pa.BufferReader(body))
        missing = [name for name in fields if name not in file.schema_arrow.names]
        if missing:
            found = ", ".join(file.schema_arrow.names)
            raise UnreliableAnswerError(f"The portal's export lacks {', '.join(missing)} (found: {found}).")
        return file.read(columns=None if all_fields else fields)
    except (pa.ArrowException, OSError) as error:
        raise UnreliableAnswerError(
            f"The portal's export of {len(body):,} bytes is not readable Parquet ({str(error).splitlines()[0]})."
        ) from None

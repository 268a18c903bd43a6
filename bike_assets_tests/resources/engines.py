"""The engines of the warehouse, for tests that have to hold for each: files in a folder, or datasets of the emulator.

They can be sent to other processes, and each opens as many warehouses as are asked for. `merges_at_once` is how many
merges each of several writers makes in a test: the emulator does one thing at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bike_assets.core.gcp_settings import GcpSettings
from bike_assets.core.schemas import TABLES
from bike_assets.resources.warehouse import LocalWarehouse, Warehouse


@dataclass(frozen=True)
class Embedded:
    """Files below a folder."""

    folder: Path
    merges_at_once: ClassVar[int] = 8

    def warehouse(self) -> Warehouse:
        return LocalWarehouse(self.folder, threads=1)

    def lose_leases_after(self, seconds: int) -> None:
        """The lock of a process that died is free at once."""


@dataclass(frozen=True)
class OnBigQuery:
    """Datasets with a prefix of their own, which have all their tables."""

    settings: GcpSettings
    merges_at_once: ClassVar[int] = 2

    def warehouse(self) -> Warehouse:
        from bike_assets.resources.bigquery_warehouse import BigQueryWarehouse

        return BigQueryWarehouse(self.settings)

    def lose_leases_after(self, seconds: int) -> None:
        """Let this process renew its leases often, and wait for others only shortly."""
        from bike_assets.resources import bigquery_lease

        bigquery_lease.LEASE_SECONDS = seconds


Engine = Embedded | OnBigQuery
MakeEngine = Callable[[], Engine]


def states(warehouse: Warehouse) -> dict[str, tuple[str, ...]]:
    """What changes with any write, by table."""
    return {table.full_name: warehouse.state(table) for table in TABLES}

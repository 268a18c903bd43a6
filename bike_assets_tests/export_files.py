"""Small portal exports for tests: synthetic counts, written in the portal's technical CSV form."""

from datetime import date
from pathlib import Path

import pandas as pd

from bike_assets.core.simulation import SimulatedCity
from bike_assets.settings import Settings

ZONE, COUNTRY = "Europe/Paris", "FR"


def city_counts(first: date, last: date, counters: int = 6, seed: int = 20) -> pd.DataFrame:
    """Return the counts of a small simulated city."""
    return SimulatedCity(seed, counters, ZONE, COUNTRY).counts(first, last)


def write_export(path: Path, counts: pd.DataFrame) -> Path:
    """Write counts as the portal would publish them: local times with their offset, one line a row."""
    local = counts["counted_at"].dt.tz_convert(ZONE)
    coordinates = [f"{lat},{lon}" for lat, lon in zip(counts["latitude"], counts["longitude"], strict=True)]
    written = counts.assign(counted_at=[each.isoformat() for each in local], coordinates=coordinates)
    fields = Settings().portal_fields.by_column
    written[list(fields)].rename(columns=fields).to_csv(path, index=False)
    return path

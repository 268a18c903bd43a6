"""What the API reads from the warehouse, in a zone of half hours: its hours and counts are those of the zone."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from bike_assets.core.local_time import hours_of, local_days
from bike_assets.core.plausibility import OutlierRule
from bike_assets.core.simulation import SimulatedCity
from bike_assets.core.splits import Span
from bike_assets.home.record import Home
from bike_assets.ingestion.counts import Ingestion
from bike_assets.resources.counts_source import PortalSource
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets_tests.resources.portal_homes import fast, serving
from serving.city import CityData, read_city

ADELAIDE = "Australia/Adelaide"
FIRST, LAST = date(2026, 3, 1), date(2026, 4, 10)
"""With the doubled hour of Adelaide's autumn."""


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return SimulatedCity(3, 2, ADELAIDE, "AU").counts(FIRST, LAST)


@pytest.fixture(scope="module")
def adelaide(rows, tmp_path_factory) -> CityData:
    folder = tmp_path_factory.mktemp("adelaide")
    settings = fast(folder, timezone=ADELAIDE, holidays_country="AU")
    warehouse = LocalWarehouse(folder / "warehouse")
    with serving(rows, settings, now=datetime(2026, 4, 12, 8, tzinfo=UTC)) as (portal, _):
        home = Home(folder, "portal", FIRST, None, ADELAIDE, portal=portal.url, dataset="counts")
        source = PortalSource(home, replace(settings.portal, addresses=portal.url))
        Ingestion(source, warehouse, settings.published_form, OutlierRule(), "run").ingest(Span(FIRST, LAST))
    city = read_city(warehouse, settings.place)
    assert city is not None
    return city


def test_every_hour_begins_where_that_of_the_zone_does(adelaide):
    assert adelaide.newest == LAST
    assert adelaide.range[0].isoformat().endswith("T00:00:00+10:30")
    assert adelaide.counts_end.isoformat() == "2026-04-11T00:00:00+09:30"
    shown = [adelaide.local_hour(index) for index in adelaide.hours_ahead(1)]
    expected = hours_of(LAST + timedelta(days=1), ADELAIDE)["counted_at"].dt.tz_convert(ADELAIDE)
    assert shown == expected.tolist()


def test_the_counts_of_each_day_are_those_of_the_source(adelaide, rows):
    by_day = rows.groupby(local_days(rows["counted_at"], ADELAIDE))["bike_count"].sum()
    days = pd.Series(adelaide.days).map(lambda day: pd.Timestamp(day, unit="D"))
    served = pd.Series(np.nansum(adelaide.counts, axis=1)).groupby(days.to_numpy()).sum()
    past = served[served.index <= pd.Timestamp(LAST)]
    assert len(past) == 7
    assert past.tolist() == by_day[past.index].tolist()

"""The scenarios: each changes the rows of a local day, and gives the same result for the same seed of the city.

Names and descriptions belong to `catalogue`, the time of publication to `publication`, and errors between portal and
client to `faults`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
import pandas as pd

from bike_assets.errors import BikeError
from bike_assets.simulator.catalogue import SCENARIOS

if TYPE_CHECKING:
    from bike_assets.core.simulation import SimulatedCity

SETTLED_AGE = 3
"""Days after which a day's rows no longer change."""
SPELL_DAYS = 5
SITE_OUT, HOUR_OUT, OUTLIER, NAMELESS, CORRECTED, LATE = 0.04, 0.15, 1 / 4000, 0.04, 0.01, 0.03
MIN_OUTLIER, MAX_OUTLIER = 6390, 11577
FEW = 3
NEW_IN_BUSIER_CITY = 2
CAR_FREE_DAY, DAY_BETWEEN = 1.5, 0.6
WEEKDAY_INSTEAD = (5, 6, 5, 6, 5, 1, 3)


@dataclass(frozen=True)
class PublishedDay:
    """The local day whose rows a scenario changes.

    Attributes:
        day: the local day.
        age: days since; 1 on the next day.
        city: the city of the rows.
    """

    day: date
    age: int
    city: "SimulatedCity"

    def random(self, purpose: str) -> np.random.Generator:
        """Return a generator for this day and purpose, with the same draws on every call."""
        return np.random.default_rng([self.city.seed, 4, crc32(purpose.encode()), self.day.toordinal()])


@dataclass(frozen=True)
class Scenario:
    """A scenario of the catalogue, from a local day on or always."""

    name: str
    since: date | None = None


def parse_scenarios(text: str) -> list[Scenario]:
    """Read comma-separated names, each with an optional first day, such as "late_rows,level_shift@2026-09-01".

    Raises:
        BikeError: a scenario is unknown, or a day is not a date.
    """
    return [_parse(part.strip()) for part in text.split(",") if part.strip()]


def apply_scenarios(scenarios: Sequence[Scenario], rows: pd.DataFrame, day: PublishedDay) -> pd.DataFrame:
    """Apply scenarios to a day's rows, in the order of the catalogue.

    Args:
        scenarios: in any order.
        rows: one local day, with the columns of `SimulatedCity.counts`.
        day: that day.
    """
    for scenario in sorted(scenarios, key=lambda each: list(SCENARIOS).index(each.name)):
        if scenario.since is None or day.day >= scenario.since:
            rows = CHANGES[scenario.name](rows, day)
    return rows


def _parse(part: str) -> Scenario:
    name, at, since = part.partition("@")
    if name not in SCENARIOS:
        raise BikeError(f"There is no scenario {name!r}: there are {', '.join(SCENARIOS)}.")
    try:
        return Scenario(name, date.fromisoformat(since) if at else None)
    except ValueError:
        raise BikeError(f"{part!r}: after the @ there has to be a day such as 2026-09-01.") from None


def _reversed_week(rows: pd.DataFrame, day: PublishedDay) -> pd.DataFrame:
    other = day.day + timedelta(days=WEEKDAY_INSTEAD[day.day.weekday()] - day.day.weekday())
    ratio = day.city.profile(other) / day.city.profile(day.day)
    hours = rows["counted_at"].dt.tz_convert(day.city.timezone).dt.hour
    counters = pd.Index(day.city.counters["counter_id"]).get_indexer(rows["counter_id"])
    return rows.assign(bike_count=_whole(rows["bike_count"] * ratio[hours, counters]))


def _level_shift(rows: pd.DataFrame, day: PublishedDay) -> pd.DataFrame:
    return _times(rows, 0.6)


def _busier_city(rows: pd.DataFrame, day: PublishedDay) -> pd.DataFrame:
    donors = _few_counters(day.city, 3)[:NEW_IN_BUSIER_CITY]
    return _with_new_counters(_times(rows, 1.3), day, donors, 970_000, "chemin Vert")


def _car_free_days(rows: pd.DataFrame, day: PublishedDay) -> pd.DataFrame:
    """Every second day is car-free. A week has an odd number of days, so each weekday is car-free every second week."""
    return _times(rows, DAY_BETWEEN if day.day.toordinal() % 2 else CAR_FREE_DAY)


def _outliers(rows: pd.DataFrame, day: PublishedDay) -> pd.DataFrame:
    random = day.random("outliers")
    chosen = random.random(len(rows)) < OUTLIER
    values = random.integers(MIN_OUTLIER, MAX_OUTLIER, size=len(rows), endpoint=True)
    return rows.assign(bike_count=rows["bike_count"].mask(chosen, values))


def _vanished_counters(rows: pd.DataFrame, day: PublishedDay) -> pd.DataFrame:
    return rows[~rows["counter_id"].isin(_few_counters(day.city, 0))].reset_index(drop=True)


def _renamed_counters(rows: pd.DataFrame, day: PublishedDay) -> pd.DataFrame:
    renamed = rows["counter_id"].isin(_few_counters(day.city, 1))
    return rows.assign(counter_name=rows["counter_name"].mask(renamed, rows["counter_name"] + " bis"))


def _new_counters(rows: pd.DataFrame, day: PublishedDay) -> pd.DataFrame:
    return _with_new_counters(rows, day, _few_counters(day.city, 2), 950_000, "passage Neuf")


def _outages(rows: pd.DataFrame, day: PublishedDay) -> pd.DataFrame:
    spell = np.random.default_rng([day.city.seed, 6, day.day.toordinal() // SPELL_DAYS])
    sites = day.city.counters["site_id"].unique()
    silent = rows["site_id"].isin(sites[spell.random(len(sites)) < SITE_OUT])
    random = day.random("outages")
    if random.random() < HOUR_OUT:
        silent |= rows["counted_at"] == random.choice(rows["counted_at"].unique())
    return rows[~silent].reset_index(drop=True)


def _null_ids(rows: pd.DataFrame, day: PublishedDay) -> pd.DataFrame:
    chosen = day.random("null ids").random(len(rows)) < NAMELESS
    names = rows["site_name"] + " " + rows["site_name"] + " [Bike IN]"
    unknown: dict[str, pd.Series] = {
        column: rows[column].mask(chosen, np.nan if column in {"latitude", "longitude"} else None)
        for column in ("counter_id", "site_id", "site_name", "latitude", "longitude")
    }
    return rows.assign(counter_name=rows["counter_name"].mask(chosen, names), **unknown)


def _corrections(rows: pd.DataFrame, day: PublishedDay) -> pd.DataFrame:
    if day.age >= SETTLED_AGE:
        return rows
    wrong = day.random("corrections").random(len(rows)) < CORRECTED
    return rows.assign(bike_count=rows["bike_count"].mask(wrong, rows["bike_count"] * 4 // 3 + 1))


def _late_rows(rows: pd.DataFrame, day: PublishedDay) -> pd.DataFrame:
    if day.age >= SETTLED_AGE:
        return rows
    return rows[day.random("late rows").random(len(rows)) >= LATE].reset_index(drop=True)


def _with_new_counters(
    rows: pd.DataFrame, day: PublishedDay, donors: Sequence[str], first_site: int, street: str
) -> pd.DataFrame:
    """Add counters, each similar to an existing one, at another place and on another level."""
    random = day.random("new counters")
    made = [rows]
    for number, donor in enumerate(donors):
        like = rows[rows["counter_id"] == donor]
        name = f"{15 + 10 * number} {street}"
        made.append(
            like.assign(
                counter_id=f"{first_site + number}-{first_site + 10_000 + number}",
                counter_name=f"{name} N-S",
                site_id=str(first_site + number),
                site_name=name,
                latitude=(like["latitude"] + 0.004).round(6),
                longitude=(like["longitude"] - 0.003).round(6),
                bike_count=random.poisson(like["bike_count"] * (0.7 + 0.3 * number)),
            )
        )
    return pd.concat(made, ignore_index=True).sort_values("counted_at", kind="stable", ignore_index=True)


def _few_counters(city: "SimulatedCity", group: int) -> list[str]:
    """A few counters that are open from the beginning; groups do not overlap."""
    always = city.counters["counter_id"].to_numpy()[~city.opens_late]
    drawn = np.random.default_rng([city.seed, 5]).permutation(always)
    size = min(FEW, len(always) // 4)
    return drawn[group * size : (group + 1) * size].tolist()


def _times(rows: pd.DataFrame, factor: float) -> pd.DataFrame:
    return rows.assign(bike_count=_whole(rows["bike_count"] * factor))


def _whole(counts: pd.Series) -> pd.Series:
    return counts.round().astype("int64")


CHANGES: dict[str, Callable[[pd.DataFrame, PublishedDay], pd.DataFrame]] = {
    "reversed_week": _reversed_week,
    "level_shift": _level_shift,
    "busier_city": _busier_city,
    "car_free_days": _car_free_days,
    "outliers": _outliers,
    "vanished_counters": _vanished_counters,
    "renamed_counters": _renamed_counters,
    "new_counters": _new_counters,
    "outages": _outages,
    "null_ids": _null_ids,
    "corrections": _corrections,
    "late_rows": _late_rows,
}

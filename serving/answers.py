"""Computes the answer to a prediction request: the hour and counter of each record, and the model's forecast.

Arrays in, bytes out. HTTP and waiting do not belong here.
"""

from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, lru_cache
from math import asin, cos, radians, sin, sqrt

import msgspec
import numpy as np
from msgspec import UNSET, Raw

from bike_assets.core.families.base import counter_codes
from bike_assets.core.families.served import ServedModel
from bike_assets.core.local_time import day_numbers
from bike_assets.core.summary import ModelEntry, Summary
from serving.city import HOUR, CityData, Counter
from serving.wire import Detail, ModelMetadata, PredictRequest, Record, RecordProblem, Refusal, encode

FAR_METRES = 250
"""A position farther than this from its counter gets a warning."""
MAX_PROBLEMS = 10
EARTH_RADIUS_METRES = 6_371_000


@dataclass(frozen=True)
class Version:
    """A version and all its forecasts for a city.

    The possible questions are finite, so the server computes the forecasts once, when the version or the counts change.

    Attributes:
        entry: its entry in the registry.
        is_champion: whether it was the champion when this was made.
        known: bool [columns], whether the version learned from the counter.
        forecasts: float64 [hours, columns], bikes an hour; NaN where there is no forecast.
    """

    entry: ModelEntry
    is_champion: bool
    known: np.ndarray
    forecasts: np.ndarray

    @cached_property
    def metadata(self) -> ModelMetadata:
        """The version's part of every answer."""
        entry, scores = self.entry, self.entry.scores["test_current"]
        return ModelMetadata(
            entry.family,
            entry.version,
            entry.run_id,
            self.is_champion,
            scores["r2"],
            scores["rmse"],
            entry.promoted_on if self.is_champion else None,
        )

    @cached_property
    def learned_until(self) -> int:
        """The last day of its training rows, in days since 1970."""
        return int(day_numbers([date.fromisoformat(self.entry.trained_until)])[0])


def compute_version(entry: ModelEntry, model: ServedModel, city: CityData, is_champion: bool) -> Version:
    """Compute a version's forecasts for all hours and counters of a city.

    Raises:
        ValueError: a forecast is not a finite number.
    """
    codes = counter_codes(city.columns, model.counters)
    hours, columns = np.nonzero(~np.isnan(city.base))
    inputs = city.inputs[hours, columns]
    inputs[:, 0] = codes[columns]
    forecasts = np.full(city.base.shape, np.nan)
    forecasts[hours, columns] = model.run(inputs, city.base[hours, columns])
    if not np.isfinite(forecasts[hours, columns]).all():
        raise ValueError(f"version {entry.version} forecasts a value that is not a finite number")
    return Version(entry, is_champion, codes >= 0, forecasts)


@dataclass(frozen=True)
class ServingState:
    """Everything that answers a request. The server replaces it as a whole.

    Attributes:
        city: counts and inputs.
        champion: the version that serves.
        model: its model.
        summary: the registry's summary when the champion was read.
        others: other versions that requests named, by number.
    """

    city: CityData
    champion: Version
    model: ServedModel
    summary: Summary
    others: dict[int, Version] = field(default_factory=dict)

    def for_city(self, city: CityData) -> "ServingState":
        """Return the same champion with its forecasts for another city."""
        champion = compute_version(self.champion.entry, self.model, city, is_champion=True)
        return ServingState(city, champion, self.model, self.summary)


@dataclass(frozen=True)
class Picked:
    """The hours and counters of a request's records.

    Attributes:
        hours: index of the city's hour, by record [records].
        columns: index of the city's column, by record [records].
        far: metres between a record's position and its counter, by record; only those above FAR_METRES.
    """

    hours: np.ndarray
    columns: np.ndarray
    far: dict[int, float]


@dataclass(frozen=True)
class Answer:
    """An answer.

    Attributes:
        content: JSON, a PredictResponse.
        predictions: number of predictions.
        unknown: number of them for counters that the model did not learn from.
    """

    content: bytes
    predictions: int
    unknown: int


def answer(city: CityData, version: Version, request: PredictRequest) -> Answer:
    """Answer a request.

    Raises:
        Refusal: 422; there is no forecast for the hour or counter of a record.
    """
    picked = pick(city, request.records)
    counts = version.forecasts[picked.hours, picked.columns]
    known = version.known[picked.columns]
    learned = city.days[picked.hours] <= version.learned_until
    facts = zip(known.tolist(), city.horizons[picked.hours].tolist(), learned.tolist(), strict=True)
    details = [_detail_json(*each) for each in facts]
    for position, metres in picked.far.items():
        details[position] = _with_distance_warning(details[position], metres)
    body = {"predictions": counts.tolist(), "details": details, "model_metadata": version.metadata}
    return Answer(encode(body), len(counts), int(np.count_nonzero(~known)))


def pick(city: CityData, records: list[Record]) -> Picked:
    """Return the hour and the column of each record.

    Raises:
        Refusal: 422; some records cannot be answered; it lists the first MAX_PROBLEMS, and why.
    """
    hours, columns = np.zeros(len(records), dtype=np.intp), np.zeros(len(records), dtype=np.intp)
    far: dict[int, float] = {}
    problems: dict[int, str] = {}
    for position, record in enumerate(records):
        try:
            hours[position] = _hour(city, record)
            columns[position] = _column(city, record, position, far)
        except ValueError as problem:
            problems[position] = str(problem)
            if len(problems) == MAX_PROBLEMS:
                break
    for position in np.flatnonzero(np.isnan(city.base[hours, columns]))[:MAX_PROBLEMS].tolist():
        problems.setdefault(position, _no_forecast_problem(records[position]))
    if problems:
        listed = [RecordProblem(position, problems[position]) for position in sorted(problems)[:MAX_PROBLEMS]]
        raise Refusal(422, "unanswerable_record", f"Record {listed[0].record}: {listed[0].detail}.", listed)
    return Picked(hours, columns, far)


def _hour(city: CityData, record: Record) -> int:
    at = record.at if record.at is not UNSET else record.date_et_heure_de_comptage
    if at is UNSET:
        raise ValueError("it has no time: give `at`, ISO 8601 with an offset")
    hour = (int(at.timestamp()) - city.begins) // HOUR
    if not 0 <= hour < len(city.days):
        first, end = city.range
        raise ValueError(
            f"{at.isoformat()} is outside the range of forecasts: from {first.isoformat()} to before {end.isoformat()}"
        )
    return hour


def _column(city: CityData, record: Record, position: int, far: dict[int, float]) -> int:
    """Return the column of the record's counter; store the distance of a far position in `far`."""
    if record.counter_id is not UNSET:
        if record.counter_name is not UNSET or record.nom_du_compteur is not UNSET:
            raise ValueError("it names a counter twice: give counter_id or counter_name, one of them")
        counter = city.by_id.get(record.counter_id)
        if counter is None:
            raise ValueError(f"there is no counter {record.counter_id!r}: GET /counters lists them")
    else:
        counter = _counter_by_name(city, record)
    given = _position_of(record)
    if given and (metres := _distance_metres(counter, given)) > FAR_METRES:
        far[position] = metres
    column = city.columns.get(counter.counter_id)
    if column is None:
        raise ValueError(_no_forecast_problem(record))
    return column


def _counter_by_name(city: CityData, record: Record) -> Counter:
    name = record.counter_name if record.counter_name is not UNSET else record.nom_du_compteur
    if name is UNSET:
        raise ValueError("it names no counter: give counter_id or counter_name")
    found = city.by_name.get(name)
    if not found:
        raise ValueError(f"there is no counter named {name!r}: GET /counters lists them")
    given = _position_of(record)
    if len(found) > 1 and given is None:
        ids = ", ".join(counter.counter_id for counter in found)
        raise ValueError(f"{len(found)} counters are named {name!r}: give the counter_id, one of {ids}")
    return min(found, key=lambda counter: _distance_metres(counter, given)) if given else found[0]


def _position_of(record: Record) -> tuple[float, float] | None:
    """Return degrees north and east; None if the record has no position.

    Raises:
        ValueError: latitude or longitude is missing, or the text is not a pair of degrees.
    """
    if record.latitude is not UNSET and record.longitude is not UNSET:
        return record.latitude, record.longitude
    if record.latitude is not UNSET or record.longitude is not UNSET:
        raise ValueError("latitude or longitude is missing")
    if record.coordinates is UNSET or record.coordinates is None:
        return None
    try:
        return _parse_degrees(record.coordinates)
    except (TypeError, KeyError, ValueError, OverflowError):
        raise ValueError('`coordonnées_géographiques` has to be a text such as "48.85, 2.35"') from None


def _parse_degrees(given: object) -> tuple[float, float]:
    """Return the pair of a text, as in the export, or of an object with lat and lon, as in the portal's answers."""
    pair = (given["lat"], given["lon"]) if isinstance(given, dict) else str(given).split(",")
    north, east = (float(each) for each in pair)
    if not (-90 <= north <= 90 and -180 <= east <= 180):
        raise ValueError("not in degrees")
    return north, east


def _distance_metres(counter: Counter, position: tuple[float, float]) -> float:
    """Return the distance on the sphere (haversine); 0 for a counter without a known position."""
    if counter.latitude is None or counter.longitude is None:
        return 0.0
    north, east = map(radians, position)
    other_north, other_east = radians(counter.latitude), radians(counter.longitude)
    chord = sin((north - other_north) / 2) ** 2 + cos(north) * cos(other_north) * sin((east - other_east) / 2) ** 2
    return 2 * EARTH_RADIUS_METRES * asin(sqrt(min(1.0, chord)))


def _no_forecast_problem(record: Record) -> str:
    named = next(name for name in (record.counter_id, record.counter_name, record.nom_du_compteur) if name is not UNSET)
    return f"counter {named!r} counted nothing in the four weeks before, so there is no forecast"


@lru_cache(maxsize=64)
def _detail_json(known: bool, horizon: int, learned: bool) -> Raw:
    """Return a detail as JSON. It is cached: a request has thousands of details, and few different ones."""
    warnings = []
    if not known:
        warnings.append("the model did not learn from this counter: the forecast uses only its newest counts")
    if learned:
        warnings.append("the model learned from this day: this forecast could not have been issued")
    return Raw(encode(Detail(known, horizon, warnings)))


def _with_distance_warning(detail_json: Raw, metres: float) -> Raw:
    detail = msgspec.json.decode(detail_json, type=Detail)
    detail.warnings.append(f"the given position is {metres:,.0f} m from this counter")
    return Raw(encode(detail))

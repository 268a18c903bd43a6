"""Read-only endpoints for people and dashboards: counters, their forecasts and counts, champion, models."""

from datetime import date, datetime
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from bike_assets.core.summary import champion_card
from serving.answers import ServingState
from serving.city import PAST_DAYS, CityData, Counter
from serving.keeper import Keeper
from serving.refusals import error_responses
from serving.wire import Refusal

CounterId = Annotated[str, Path(description="An id from GET /counters.", max_length=200)]


class FromAttributes(BaseModel):
    """Base of the answers that pydantic makes from attributes."""

    model_config = ConfigDict(from_attributes=True)


class CounterAnswer(FromAttributes):
    """A counter, with its state after the newest counts."""

    counter_id: str
    counter_name: str
    latitude: float | None = Field(description="Degrees north.")
    longitude: float | None = Field(description="Degrees east.")
    state: str = Field(description="active, new, silent or gone.", examples=["active"])
    has_forecast: bool = Field(description="Whether it has a forecast: it counted in the last four weeks.")
    last_day: date = Field(description="The last local day on which it was seen.")
    last_counted_at: datetime | None = Field(description="The last hour that it counted, in the last ten weeks.")
    last_count: int | None = Field(description="Bikes in that hour.")


class ForecastHour(BaseModel):
    """The forecast of one hour."""

    at: datetime = Field(description="Start of the hour, in local time with its offset.")
    horizon_days: int
    predicted_count: float = Field(description="Bikes an hour, by the champion.")
    naive_count: float = Field(description="Bikes an hour, by the seasonal naive forecast.")


class ForecastAnswer(BaseModel):
    """The forecast of a counter's next days."""

    counter_id: str
    counter_name: str
    timezone: str
    counts_until: date = Field(description="The newest whole local day of counts; the forecast begins after it.")
    family: str
    version: int
    known_counter: bool = Field(description="Whether the model learned from this counter.")
    hours: list[ForecastHour]


class CountedHour(BaseModel):
    """The count of one past hour, and its day-ahead hindcast."""

    at: datetime = Field(description="Start of the hour, in local time with its offset.")
    bike_count: int | None = Field(description="Bikes counted; null if nothing was published.")
    predicted_count: float | None = Field(
        description="Bikes an hour as the champion would have forecast them the day before; null if there is none."
    )


class CountsAnswer(BaseModel):
    """The counts of a counter's last days."""

    counter_id: str
    counter_name: str
    timezone: str
    counts_until: date
    hours: list[CountedHour]


class ModelAnswer(FromAttributes):
    """A trained version. `scores` has its day-ahead scores by test set: r2, rmse and mae (bikes an hour), n."""

    family: str
    version: int
    run_id: str
    is_champion: bool
    first_champion: bool
    withdrawn: bool = Field(description="Whether a person replaced it: no evaluation promotes it again.")
    trained_until: date
    registered_on: date
    promoted_on: date | None
    scores: dict[str, dict[str, float]]


class ChampionAnswer(BaseModel):
    """The version that serves."""

    family: str
    version: int
    run_id: str
    r2_baseline: float
    r2_current: float
    promoted_on: date | None
    trained_until: date
    counts_until: date = Field(description="The newest whole local day of counts that its forecasts use.")
    first_hour: datetime = Field(description="The first hour that POST /predict answers.")
    end: datetime = Field(description="The end of the last hour that POST /predict answers.")
    scores: dict[str, dict[str, float]]


def forecasts_router(keeper: Keeper) -> APIRouter:
    """Return the routes that only read."""
    router = APIRouter(responses=error_responses(500, 503))

    @router.get("/counters", tags=["counters"], summary="All counters")
    def counters() -> list[CounterAnswer]:
        """List all counters that ever had counts, by name."""
        city = keeper.current().city
        return [_counter_answer(city, counter) for counter in city.counters]

    @router.get(
        "/forecast/{counter_id}", tags=["forecasts"], summary="The next days", responses=error_responses(404, 422)
    )
    def forecast(
        counter_id: CounterId, days: Annotated[int, Query(ge=1, le=3, description="Days after the counts.")] = 3
    ) -> ForecastAnswer:
        """Return the champion's hourly forecast for a counter, for the days after the newest whole day of counts."""
        serving = keeper.current()
        counter = _find_counter(serving.city, counter_id)
        return _forecast_answer(serving, counter, days)

    @router.get("/counts/{counter_id}", tags=["counters"], summary="The last days", responses=error_responses(404, 422))
    def counts(
        counter_id: CounterId, days: Annotated[int, Query(ge=1, le=PAST_DAYS + 1, description="Newest days.")] = 7
    ) -> CountsAnswer:
        """Return a counter's hourly counts of the last days, and the champion's day-ahead hindcasts of them."""
        serving = keeper.current()
        return _counts_answer(serving, _find_counter(serving.city, counter_id), days)

    @router.get("/champion", tags=["models"], summary="The version that serves")
    def champion() -> ChampionAnswer:
        """Return the champion, its scores, and the range of hours that it can forecast."""
        serving = keeper.current()
        entry, city = serving.champion.entry, serving.city
        first, end = city.range
        return ChampionAnswer(
            **champion_card(entry),
            trained_until=entry.trained_until,
            counts_until=city.newest,
            first_hour=first,
            end=end,
            scores=entry.scores,
        )

    @router.get("/models", tags=["models"], summary="All versions")
    def models() -> list[ModelAnswer]:
        """List all trained versions, newest first."""
        entries = keeper.summary.models
        return [ModelAnswer.model_validate(e) for e in sorted(entries, key=lambda e: -e.version)]

    return router


def _find_counter(city: CityData, counter_id: str) -> Counter:
    counter = city.by_id.get(counter_id)
    if counter is None:
        raise Refusal(404, "unknown_counter", f"There is no counter {counter_id!r}: GET /counters lists them.")
    return counter


def _counter_answer(city: CityData, counter: Counter) -> CounterAnswer:
    column = city.columns.get(counter.counter_id)
    has_forecast = column is not None and bool(np.isfinite(city.base[-1, column]))
    return CounterAnswer(**vars(counter), has_forecast=has_forecast)


def _forecast_answer(serving: ServingState, counter: Counter, days: int) -> ForecastAnswer:
    city, version = serving.city, serving.champion
    column = city.columns.get(counter.counter_id)
    if column is None or np.isnan(city.base[-1, column]):
        detail = f"Counter {counter.counter_id!r} has counted nothing for four weeks, so there is no forecast."
        raise Refusal(404, "no_forecast", detail)
    hours = city.hours_ahead(days)
    predictions = zip(hours.tolist(), version.forecasts[hours, column].tolist(), strict=True)
    return ForecastAnswer(
        counter_id=counter.counter_id,
        counter_name=counter.counter_name,
        timezone=city.timezone,
        counts_until=city.newest,
        family=version.entry.family,
        version=version.entry.version,
        known_counter=bool(version.known[column]),
        hours=[
            ForecastHour(
                at=city.local_hour(hour),
                horizon_days=int(city.horizons[hour]),
                predicted_count=predicted,
                naive_count=float(city.base[hour, column]),
            )
            for hour, predicted in predictions
        ],
    )


def _counts_answer(serving: ServingState, counter: Counter, days: int) -> CountsAnswer:
    city, column = serving.city, serving.city.columns.get(counter.counter_id)
    hours = city.hours_past(days)
    counted, predicted = np.full(len(hours), np.nan), np.full(len(hours), np.nan)
    if column is not None:
        counted, predicted = city.counts[hours, column], serving.champion.forecasts[hours, column]
    return CountsAnswer(
        counter_id=counter.counter_id,
        counter_name=counter.counter_name,
        timezone=city.timezone,
        counts_until=city.newest,
        hours=[
            CountedHour(
                at=city.local_hour(hour),
                bike_count=None if np.isnan(count) else int(count),
                predicted_count=None if np.isnan(forecast) else forecast,
            )
            for hour, count, forecast in zip(hours.tolist(), counted.tolist(), predicted.tolist(), strict=True)
        ],
    )

"""The HTTP side of serving: requests, answers, errors. The model and its forecast are in `champion`."""

from datetime import UTC, datetime
from typing import Annotated

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from bike_assets.errors import BikeError
from bike_assets.resources.registry import champion_card
from bike_assets.resources.reports import SERVED_AT
from bike_assets.settings import Settings
from serving.champion import ChampionInMemory, DayAhead

NO_CHAMPION = "There is no champion yet: run make materialize, or wait for the first pass of make run to end."
MOST_RECORDS = 10_000


class Record(BaseModel):
    """One counter and hour to forecast."""

    model_config = ConfigDict(extra="forbid")

    counter_id: str | None = Field(None, examples=["100007049-102007049"])
    counter_name: str | None = None
    at: AwareDatetime = Field(description="Any time in the hour, ISO 8601 with its offset.")

    @model_validator(mode="after")
    def _names_a_counter(self) -> "Record":
        if (self.counter_id is None) == (self.counter_name is None):
            raise ValueError("give counter_id or counter_name, one of them")
        return self


class PredictRequest(BaseModel):
    """What `POST /predict` takes."""

    model_config = ConfigDict(extra="forbid")

    records: Annotated[list[Record], Field(min_length=1, max_length=MOST_RECORDS)]


class Detail(BaseModel):
    """What is known of one prediction."""

    known_counter: bool
    horizon_days: int


class ModelMetadata(BaseModel):
    """The version that answered; scores are those of its evaluation, day ahead on test_current."""

    family: str
    version: int
    run_id: str
    is_champion: bool
    r2: float
    rmse: float
    promoted_on: str | None


class PredictResponse(BaseModel):
    """Bikes an hour, in the order of the records."""

    predictions: list[float]
    details: list[Detail]
    model_metadata: ModelMetadata


def create_app(settings: Settings) -> FastAPI:
    """Return the application for the home that the settings name."""
    app = FastAPI(title="Bike traffic", description="Forecasts of a city's bike counters by its champion model.")
    memory = ChampionInMemory(settings)
    reports = settings.home_folder / "reports"
    app.mount(f"/{SERVED_AT}", StaticFiles(directory=reports, check_dir=False), name=SERVED_AT)

    @app.exception_handler(BikeError)
    def _unavailable(_: Request, error: BikeError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=503)

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @app.get("/champion")
    def champion() -> dict:
        """The version that serves, its scores, and the day that it can forecast."""
        current = _require(memory)
        return {**champion_card(current.entry), "scores": current.entry.scores, "forecast_day": current.day.isoformat()}

    @app.post("/predict")
    def predict(request: PredictRequest) -> PredictResponse:
        """Forecast hours of the day ahead: the local day after the newest counts."""
        current = _require(memory)
        ids = [_counter(current, record) for record in request.records]
        hours = [_hour(current, record.at) for record in request.records]
        scores = current.entry.scores["test_current"]
        return PredictResponse(
            predictions=[current.counts[key] for key in zip(ids, hours, strict=True)],
            details=[Detail(known_counter=current.known[counter], horizon_days=1) for counter in ids],
            model_metadata=ModelMetadata(
                family=current.entry.family,
                version=current.entry.version,
                run_id=current.entry.run_id,
                is_champion=True,
                r2=scores["r2"],
                rmse=scores["rmse"],
                promoted_on=current.entry.promoted_on,
            ),
        )

    return app


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until the process is ended."""
    uvicorn.run(create_app(settings), host=host, port=port, log_level="warning", access_log=False)


def _require(memory: ChampionInMemory) -> DayAhead:
    current = memory.get()
    if current is None:
        raise HTTPException(503, NO_CHAMPION)
    return current


def _counter(current: DayAhead, record: Record) -> str:
    counter = record.counter_id or current.ids.get(record.counter_name or "", "")
    if counter not in current.known:
        named = record.counter_id or record.counter_name
        raise HTTPException(422, f"counter {named!r} has no counts in the last four weeks, so it has no forecast")
    return counter


def _hour(current: DayAhead, at: datetime) -> datetime:
    hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if not current.start <= hour < current.end:
        raise HTTPException(
            422,
            f"{at.isoformat()} is outside of the day ahead, {current.start.isoformat()} to {current.end.isoformat()}",
        )
    return hour

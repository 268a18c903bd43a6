"""The msgspec bodies of `POST /predict` and of every refusal.

These bodies have to be fast. The other bodies are pydantic models beside their routes.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.exceptions import HTTPException

MAX_RECORDS = 10_000

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Moment = Annotated[datetime, Meta(tz=True, description="Any time in the hour, ISO 8601 with its offset.")]
Latitude = Annotated[float, Meta(ge=-90, le=90)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]


class Record(Struct, omit_defaults=True):
    """One counter and hour to forecast.

    A record may also have the columns of the portal's export: `nom_du_compteur` is `counter_name`,
    `date_et_heure_de_comptage` is `at`, and the position distinguishes counters with the same name. Other columns of
    the export are ignored.
    """

    counter_id: Name | UnsetType = UNSET
    counter_name: Name | UnsetType = UNSET
    at: Moment | UnsetType = UNSET
    nom_du_compteur: Name | UnsetType = UNSET
    date_et_heure_de_comptage: Moment | UnsetType = UNSET
    coordinates: Any = msgspec.field(default=UNSET, name="coordonnées_géographiques")
    latitude: Latitude | UnsetType = UNSET
    longitude: Longitude | UnsetType = UNSET


class PredictRequest(Struct, forbid_unknown_fields=True):
    """The hours to forecast, and the model.

    `model` is the number of a version, or a family, for its newest version. The default is the champion.
    """

    records: Annotated[list[Record], Meta(min_length=1, max_length=MAX_RECORDS)]
    model: Annotated[int, Meta(ge=1)] | Name | None = None


class Detail(Struct):
    """Details of one prediction.

    `known_counter`: whether the model learned from this counter. `horizon_days`: days from the last day of counts that
    the prediction uses to the day of the hour.
    """

    known_counter: bool
    horizon_days: int
    warnings: list[str]


class ModelMetadata(Struct):
    """The version that answered. `r2` and `rmse` (bikes an hour) are its day-ahead scores on test_current."""

    family: str
    version: int
    run_id: str
    is_champion: bool
    r2: float
    rmse: float
    promoted_on: str | None


class PredictResponse(Struct):
    """The predictions, in bikes an hour, and their details. Both are in the order of the records."""

    predictions: list[float]
    details: list[Detail]
    model_metadata: ModelMetadata


class RecordProblem(Struct):
    """The problem of one record; `record` is its position, from 0."""

    record: int
    detail: str


class Problem(Struct, omit_defaults=True):
    """An error: a code for programs, a sentence for people, and up to ten records with problems."""

    error: str
    detail: str
    request_id: str = ""
    records: list[RecordProblem] = []


class Refusal(HTTPException):
    """The error of a request that cannot be answered.

    Args:
        status: HTTP status.
        error: a code for programs.
        detail: a sentence for people, without paths or traces.
        records: problems of single records.
        headers: headers of the answer.
    """

    def __init__(
        self,
        status: int,
        error: str,
        detail: str,
        records: Sequence[RecordProblem] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, headers)
        self.error, self.records = error, list(records)


def read_request(body: bytes) -> PredictRequest:
    """Read the body of a prediction.

    Raises:
        Refusal: 422; the body is not JSON, or does not fit the schema; the message names the place.
    """
    try:
        return _DECODER.decode(body)
    except msgspec.ValidationError as error:
        raise Refusal(422, "invalid_request", f"The body is not a prediction request: {error}.") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refusal(422, "invalid_json", f"The body is not valid JSON: {error}.") from None


def components() -> dict[str, Any]:
    """Return the JSON schemas of all bodies by name, for the OpenAPI document."""
    _, schemas = msgspec.json.schema_components(
        (PredictRequest, PredictResponse, Problem), ref_template="#/components/schemas/{name}"
    )
    return schemas


_DECODER = msgspec.json.Decoder(PredictRequest)
encode = msgspec.json.Encoder().encode

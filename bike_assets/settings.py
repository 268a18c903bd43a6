"""Typed settings and thresholds: the only reader of the environment (prefix BIKE_).

What a city brings along (its portal, its zone) are defaults in a file of `cities`. What a home records of itself (its
source, its first day) belongs to `home`.
"""

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from bike_assets.core.api_keys import read_api_keys
from bike_assets.core.calendar import has_holidays
from bike_assets.core.decisions import CooldownRule, EvaluationRule, RetrainRule
from bike_assets.core.plausibility import OutlierRule
from bike_assets.core.portal_fields import PortalFields
from bike_assets.core.splits import SplitRule
from bike_assets.errors import BikeError
from bike_assets.gcp_settings import GcpSettings

PARIS = Path(__file__).parent / "cities" / "paris.toml"
_WEB_ADDRESS = re.compile(r"https?://[\w.-]+(:\d{1,5})?(/\S*)?")
MOST_BASELINE = 0.98
"""Train and test baseline together: what is left is current, and something has to be."""


class Settings(BaseSettings):
    """Everything that can be set, each from BIKE_<NAME>, and by default from the city's file."""

    model_config = SettingsConfigDict(
        env_prefix="BIKE_",
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    home: Path = Field(Path(".bike"), description="Folder of everything that runs leave behind.")
    profile: Literal["local", "gcp"] = Field("local", description="Where tables and files lie: here, or with Google.")
    gcp: GcpSettings = Field(GcpSettings(), description="Project, bucket and names, for BIKE_PROFILE=gcp.")
    postgres_host: str | None = Field(
        None, description="Host of the PostgreSQL that keeps Dagster's runs, for BIKE_PROFILE=gcp; else they stay here."
    )
    postgres_port: int = Field(5432, ge=1, le=65535)
    postgres_password: SecretStr | None = Field(None, description="Password of its user bike.")
    source: Literal["auto", "paris", "portal", "simulator", "file"] = Field(
        "auto", description="Where counts come from; portal is that of the city's file, and paris that of Paris."
    )
    counts_file: Path | None = Field(None, description="A portal export (Parquet or CSV), for BIKE_SOURCE=file.")
    city_file: Path = Field(PARIS, description="A city's defaults (TOML): its portal, dataset, fields, zone, holidays.")
    timezone: str = Field(description="Zone of the local days; fixed once a home exists.")
    holidays_country: str = Field(description="ISO code of the country whose public holidays count.")
    history_months: int = Field(13, ge=3, le=120, description="Months of history asked of a source without an end.")
    quick: bool = Field(False, description="Train on a sample, in seconds; scores are worse.")
    seed: int = Field(20, ge=0, description="Seed of training and of the simulator.")
    simulator_counters: int = Field(64, ge=4, le=2000, description="Counters in the simulated city.")
    simulator_scenarios: str = Field("", description="Scenarios of the simulated portal, such as late_rows,outliers.")

    portal_url: str = Field(description="Scheme, host and port of the portal; several, apart by spaces, are one.")
    portal_dataset: str = Field(description="The dataset's identifier on the portal.")
    portal_fields: PortalFields = Field(description="The portal's field for each of our columns.")
    portal_labels: PortalFields | None = Field(None, description="Titles of these fields in a CSV export with labels.")
    portal_api_key: SecretStr | None = Field(None, description="Key for the portal's larger quota; none is needed.")
    portal_timeout_seconds: float = Field(
        60, gt=0, le=600, description="Silence after which a request is given up; of the weather's service, too."
    )
    portal_attempts: int = Field(5, ge=1, le=20, description="How often a request is tried; the weather's, too.")
    portal_backoff_seconds: float = Field(1, gt=0, le=60, description="Wait before the second try; it then doubles.")
    portal_quota_wait_seconds: float = Field(120, ge=0, le=3600, description="Longest wait for a quota's reset.")

    weather: Literal["auto", "off", "open_meteo", "file", "simulator"] = Field(
        "auto", description="Where weather comes from; auto follows the source of the counts."
    )
    weather_file: Path | None = Field(None, description="Hourly or three-hourly weather (CSV or Parquet).")
    weather_latitude: float | None = Field(None, ge=-90, le=90, description="Degrees north of the city's middle.")
    weather_longitude: float | None = Field(None, ge=-180, le=180, description="Degrees east of the city's middle.")
    weather_archive_url: str = Field(
        "https://archive-api.open-meteo.com", description="Scheme, host and port of Open-Meteo's past weather."
    )
    weather_forecast_url: str = Field(
        "https://api.open-meteo.com", description="Scheme, host and port of Open-Meteo's forecasts and last days."
    )

    threads: int = Field(2, ge=1, description="Threads for training, queries and serving.")

    max_share_incomplete: float = Field(
        0.10, ge=0, le=1, description="Share of a day's rows without counter, count or time above which it is an error."
    )
    outlier_factor: float = Field(6.0, gt=1, description="A count is an outlier above so many times the usual maximum.")
    outlier_floor: float = Field(300.0, ge=0, description="Bikes an hour below which no count is an outlier.")

    train_share: float = Field(0.65, gt=0, lt=1, description="Share of the first whole days in train_baseline.")
    test_share: float = Field(0.15, gt=0, lt=1, description="Share of the days after them in test_baseline.")
    training_window_months: int | None = Field(
        None, ge=3, le=120, description="Newest months of the training days that models are fitted on; all by default."
    )
    training_rows: int = Field(
        6_000_000, ge=10_000, description="Rows, of all sets and horizons, that a training reads; of more, a share."
    )
    counters_left_out: str = Field(
        "", description="Counter ids, with commas between: nothing is learned from them, and no score counts them."
    )
    min_training_days: int = Field(84, ge=35, description="Whole days that a home needs before a model is trained.")

    r2_floor: float = Field(0.60, description="R2 on test_baseline below which a challenger is rejected.")
    min_gain: float = Field(0.02, ge=0, description="R2 on test_current by which a challenger has to win.")
    min_residual_share: float | None = Field(
        None, ge=0, lt=1, description="In place of BIKE_MIN_GAIN: share of the champion's 1 - R2 that has to be gained."
    )
    certain_gain: bool = Field(False, description="Deploy only where the interval of the gain lies above zero as well.")
    r2_critical: float = Field(0.65, description="Recent R2 below which a retrain is reactive.")
    r2_warning: float = Field(0.70, description="Recent R2 from which the model is healthy.")
    drift_critical: float = Field(0.5, ge=0, le=1, description="Drift share from which a weak model is retrained.")
    drift_warning: float = Field(0.3, ge=0, le=1, description="Drift share from which a healthy model is watched.")
    rmse_limit: float = Field(60.0, gt=0, description="Recent RMSE (bikes an hour) above which a retrain is reactive.")
    min_scored_rows: int = Field(1000, ge=1, description="Forecasts with counts needed to speak of performance.")
    naive_alarm_days: int = Field(
        3, ge=1, le=30, description="Days in a row on which being worse than the seasonal naive is an alarm."
    )
    naive_is_cause: bool = Field(False, description="Whether these days are a cause to retrain as well.")
    cooldown_days: int = Field(
        3, ge=0, description="Days that the next automatic retrain waits after one without a new champion."
    )
    cooldown_later_days: int = Field(7, ge=0, description="The same after a second one, and after each further one.")

    discord_webhook_url: SecretStr | None = Field(
        None, description="The secret address of a Discord channel's webhook; without it messages are only logged."
    )
    discord_timeout_seconds: float = Field(3, gt=0, le=30, description="Silence after which a message is given up.")

    host: str = Field("127.0.0.1", description="Address that every server binds to.")
    dagster_port: int = Field(3000, ge=1, le=65535)
    api_port: int = Field(8000, ge=1, le=65535)
    mlflow_port: int = Field(5000, ge=1, le=65535)
    exporter_port: int = Field(9101, ge=1, le=65535)
    prometheus_port: int = Field(9090, ge=1, le=65535)
    alertmanager_port: int = Field(9093, ge=1, le=65535)
    grafana_port: int = Field(3001, ge=1, le=65535)
    api_workers: int = Field(1, ge=1, le=64, description="Processes that serve the API; each has the champion itself.")
    api_keys: SecretStr | None = Field(
        None, description="Who may start runs through the API: name:key pairs with commas between, each key 16 signs."
    )
    api_timeout_seconds: float = Field(30, gt=0, le=600, description="Longest that a request's body or answer takes.")
    api_max_body_bytes: int = Field(4_000_000, ge=1000, description="Largest body that the API takes.")
    api_cors_origins: str = Field(
        "", description="Sites whose pages may read the API's answers, with spaces between; none by default."
    )
    log_format: Literal["text", "json"] = Field("text", description="How the API writes its log.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is passed wins over the environment, and the environment over the city's file."""
        named = init_settings().get("city_file") or os.environ.get("BIKE_CITY_FILE") or PARIS
        city = InitSettingsSource(settings_cls, init_kwargs=read_city(Path(named)))
        return init_settings, env_settings, city

    @field_validator("portal_url")
    @classmethod
    def _are_addresses(cls, urls: str) -> str:
        for url in urls.split():
            if not _is_address(url):
                raise ValueError("it has to be scheme, host and port, such as https://data.example.org, and no path")
        if not urls.split():
            raise ValueError("it names no address")
        return " ".join(url.rstrip("/") for url in urls.split())

    @field_validator("weather_archive_url", "weather_forecast_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        if not _is_address(url):
            raise ValueError("it has to be scheme, host and port, such as https://data.example.org, and no path")
        return url.rstrip("/")

    @field_validator("discord_webhook_url")
    @classmethod
    def _is_a_webhook(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not _WEB_ADDRESS.fullmatch(url.get_secret_value()):
            raise ValueError("it has to be an address with http:// or https://, as Discord shows it")
        return url

    @field_validator("api_keys")
    @classmethod
    def _are_keys(cls, keys: SecretStr | None) -> SecretStr | None:
        if keys is not None:
            read_api_keys(keys.get_secret_value())
        return keys

    @field_validator("weather_file")
    @classmethod
    def _is_a_file(cls, path: Path | None) -> Path | None:
        if path is not None and not path.expanduser().is_file():
            raise ValueError("it is no file")
        return path and path.expanduser().absolute()

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("it is no time zone such as Europe/Paris") from None
        return name

    @field_validator("holidays_country")
    @classmethod
    def _has_holidays(cls, code: str) -> str:
        if not has_holidays(code):
            raise ValueError("it is no ISO code of a country whose public holidays are known, such as FR")
        return code

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> "Settings":
        if self.source == "paris" and not self.is_paris:
            raise ValueError("BIKE_SOURCE=paris, and BIKE_CITY_FILE is another city: set BIKE_SOURCE=portal")
        if round(self.train_share + self.test_share, 9) > MOST_BASELINE:
            raise ValueError(f"BIKE_TRAIN_SHARE and BIKE_TEST_SHARE together leave less than {1 - MOST_BASELINE:.0%}")
        if self.r2_critical > self.r2_warning:
            raise ValueError("BIKE_R2_CRITICAL is above BIKE_R2_WARNING")
        if self.drift_warning > self.drift_critical:
            raise ValueError("BIKE_DRIFT_WARNING is above BIKE_DRIFT_CRITICAL")
        return self

    @model_validator(mode="after")
    def _profile_is_whole(self) -> "Settings":
        if self.profile == "gcp" and (missing := self.gcp.missing()):
            raise ValueError(f"BIKE_PROFILE=gcp needs {' and '.join(missing)}")
        return self

    @model_validator(mode="after")
    def _weather_is_whole(self) -> "Settings":
        if (self.weather_latitude is None) != (self.weather_longitude is None):
            raise ValueError("of BIKE_WEATHER_LATITUDE and BIKE_WEATHER_LONGITUDE, one is not set")
        if self.weather == "open_meteo" and self.weather_latitude is None:
            raise ValueError("BIKE_WEATHER=open_meteo needs BIKE_WEATHER_LATITUDE and BIKE_WEATHER_LONGITUDE")
        if self.weather == "file" and self.weather_file is None:
            raise ValueError("BIKE_WEATHER=file needs BIKE_WEATHER_FILE, the path of a weather file (CSV or Parquet)")
        if self.weather not in {"auto", "file"} and self.weather_file is not None:
            raise ValueError(f"BIKE_WEATHER_FILE is set, and BIKE_WEATHER is {self.weather}: set BIKE_WEATHER=file")
        if self.weather == "simulator" and self.source not in {"auto", "simulator"}:
            raise ValueError(f"BIKE_WEATHER=simulator is of a simulated city, and BIKE_SOURCE is {self.source}")
        return self

    @property
    def runs_are_on_postgres(self) -> bool:
        """Whether Dagster's runs are kept by a PostgreSQL, and their logs in the bucket."""
        return self.profile == "gcp" and self.postgres_host is not None

    @property
    def is_paris(self) -> bool:
        """Whether the city's file is that of Paris."""
        return self.city_file.expanduser().resolve() == PARIS.resolve()

    @property
    def named_portal(self) -> str | None:
        """The portal's addresses where they are not those of the city's file."""
        return None if self.portal_url == read_city(self.city_file).get("portal_url") else self.portal_url

    @property
    def named_dataset(self) -> str | None:
        """The dataset where it is not that of the city's file."""
        return None if self.portal_dataset == read_city(self.city_file).get("portal_dataset") else self.portal_dataset

    @property
    def left_out(self) -> list[str]:
        """Ids of the counters to leave out, sorted."""
        return sorted({name.strip() for name in self.counters_left_out.split(",")} - {""})

    @property
    def outlier_rule(self) -> OutlierRule:
        """What an outlier is."""
        return OutlierRule(self.outlier_factor, self.outlier_floor)

    @property
    def split_rule(self) -> SplitRule:
        """How a home's days are cut."""
        return SplitRule(self.train_share, self.test_share, self.min_training_days)

    @property
    def evaluation_rule(self) -> EvaluationRule:
        """The bounds of the double evaluation."""
        return EvaluationRule(self.r2_floor, self.min_gain, self.min_residual_share, self.certain_gain)

    @property
    def retrain_rule(self) -> RetrainRule:
        """The bounds of the retrain matrix."""
        return RetrainRule(
            self.r2_critical,
            self.r2_warning,
            self.drift_critical,
            self.drift_warning,
            self.rmse_limit,
            self.min_scored_rows,
            self.naive_alarm_days,
            self.naive_is_cause,
        )

    @property
    def cooldown_rule(self) -> CooldownRule:
        """How long a retrain waits after one in vain."""
        return CooldownRule(self.cooldown_days, self.cooldown_later_days)

    @property
    def thresholds(self) -> dict[str, float | int | bool | None]:
        """Every bound of the rules, by name."""
        rules: dict[str, Any] = {
            "evaluation": self.evaluation_rule,
            "retrain": self.retrain_rule,
            "cooldown": self.cooldown_rule,
        }
        return {f"{of}.{name}": value for of, rule in rules.items() for name, value in vars(rule).items()}

    @property
    def keys_by_name(self) -> dict[str, str]:
        """The API's keys by the name of who has them; none where none is set."""
        return read_api_keys(self.api_keys.get_secret_value()) if self.api_keys else {}

    @property
    def dagster_address(self) -> str:
        """Where Dagster's pages and its GraphQL API are."""
        return f"http://{self.host}:{self.dagster_port}"

    @property
    def mlflow_address(self) -> str:
        """Where MLflow's pages are."""
        return f"http://{self.host}:{self.mlflow_port}"

    @property
    def api_address(self) -> str:
        """Where the API is."""
        return f"http://{self.host}:{self.api_port}"

    @property
    def home_folder(self) -> Path:
        """The home as an absolute path."""
        return self.home.expanduser().absolute()


def _is_address(url: str) -> bool:
    """Whether a text is scheme, host and perhaps port, and nothing else."""
    parts = urlsplit(url)
    try:
        known_port = parts.port is None or parts.port > 0
    except ValueError:
        return False
    rest = parts.path.strip("/") + parts.query + parts.fragment
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and known_port and not rest


def _is_secret(name: str) -> bool:
    return SecretStr in get_args(Settings.model_fields[name].annotation)


def read_city(path: Path) -> dict[str, Any]:
    """Read a city's defaults.

    Raises:
        BikeError: the file cannot be read, is not TOML, or has a line that is no setting.
    """
    try:
        values = tomllib.loads(path.expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise BikeError(f"BIKE_CITY_FILE={path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BikeError(f"BIKE_CITY_FILE={path} is not TOML: {error}.") from None
    unknown = sorted(set(values) - set(Settings.model_fields))
    if unknown:
        raise BikeError(f"BIKE_CITY_FILE={path}: {', '.join(unknown)}: no such setting.")
    return values


def load_settings() -> Settings:
    """Read the settings.

    Raises:
        BikeError: a setting is not what it has to be; the message names it.
    """
    try:
        return Settings()
    except SettingsError as error:
        found = re.search(r'field "(\w+)"', str(error))
        raise BikeError(f"BIKE_{found[1].upper() if found else '...'} has to be JSON, such as an object.") from None
    except ValidationError as error:
        first = error.errors()[0]
        told = first["msg"].removeprefix("Value error, ")
        if first["type"] == "missing":
            name = "__".join(str(part) for part in first["loc"])
            raise BikeError(f"BIKE_{name.upper()} is not set, and the city's file has no {name} either.") from None
        if not first["loc"]:
            raise BikeError(f"The settings do not fit together: {told}.") from None
        name = "BIKE_" + "__".join(str(part) for part in first["loc"]).upper()
        shown = name if _is_secret(str(first["loc"][0])) else f"{name}={first['input']!r}"
        raise BikeError(f"{shown} is not accepted: {told[0].lower()}{told[1:]}.") from None

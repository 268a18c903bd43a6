"""Typed settings and thresholds: the only reader of the environment (prefix BIKE_).

docs/settings.md lists every setting. The command `python -m bike_assets_tests.settings_page` writes that page from the
fields below. The defaults of a city (its portal, its time zone) belong to a file in `cities`. The facts that a home
records about itself (its source, its first day) belong to `home`.
"""

import os
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from bike_assets.core.api_keys import read_api_keys
from bike_assets.core.decisions import CooldownRule, EvaluationRule, RetrainRule
from bike_assets.core.gcp_settings import GcpSettings
from bike_assets.core.parts_of_hours import IntervalMinutes
from bike_assets.core.place import Place
from bike_assets.core.plausibility import OutlierRule
from bike_assets.core.portal_fields import PortalFields
from bike_assets.core.published_form import PublishedForm
from bike_assets.core.repeated_rows import RepeatedRows
from bike_assets.core.service_access import PortalAccess, Retries
from bike_assets.core.setting_values import (
    Address,
    Addresses,
    ApiKeys,
    Country,
    ExistingFile,
    TimeZone,
    Webhook,
    describe_first_error,
    describe_invalid_json,
)
from bike_assets.core.splits import SplitRule
from bike_assets.errors import BikeError

PARIS = Path(__file__).parent / "cities" / "paris.toml"
MAX_BASELINE_SHARE = 0.98
"""Maximum of both baseline shares together. The rest of the days is current, and must not be empty."""


class Settings(BaseSettings):
    """All settings. BIKE_<NAME> sets a field. Without it, the city's file or the default below applies."""

    model_config = SettingsConfigDict(
        env_prefix="BIKE_",
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    home: Path = Field(
        Path(".bike"), description="Folder of everything that runs store: databases, tables, models, reports and logs."
    )
    profile: Literal["local", "gcp"] = Field(
        "local", description="Where the platform stores tables and files: on this machine, or in Google Cloud."
    )
    gcp: GcpSettings = Field(
        GcpSettings(), description="Project, bucket and names in Google Cloud. Only BIKE_PROFILE=gcp uses them."
    )
    postgres_host: str | None = Field(
        None,
        description="Host of the PostgreSQL server that stores Dagster's runs. Only BIKE_PROFILE=gcp uses it. "
        "Without a host, the runs stay in BIKE_HOME.",
    )
    postgres_port: int = Field(5432, ge=1, le=65535, description="Port of that PostgreSQL server.")
    postgres_password: SecretStr | None = Field(
        None, description="Password of the user bike on that PostgreSQL server."
    )
    source: Literal["auto", "paris", "portal", "simulator", "file"] = Field(
        "auto",
        description="Where counts come from. paris is the portal of Paris, portal is the portal of BIKE_CITY_FILE, "
        "simulator is a simulated city, file is BIKE_COUNTS_FILE. auto keeps the source of an existing home. For a "
        "new home, auto takes the portal if it answers within seconds, else the simulator.",
    )
    counts_file: Path | None = Field(
        None, description="Export from a portal (Parquet or CSV). BIKE_SOURCE=file requires it."
    )
    city_file: Path = Field(
        PARIS,
        description="A city's defaults (TOML): its portal, dataset, fields, time zone and holidays. Any other setting "
        "may be in the file too. The environment takes precedence.",
    )
    timezone: TimeZone = Field(description="Time zone of the local days. It cannot change once a home exists.")
    times: Literal["local", "utc"] = Field(
        "local",
        description="What published times without an offset mean: the clock of BIKE_TIMEZONE, or UTC. It cannot change "
        "once a home exists.",
    )
    repeated_rows: RepeatedRows = Field(
        "refuse",
        description="The rule for published rows that share a counter and an hour. last keeps the last row, add adds "
        "their counts, refuse accepts only rows of the same count.",
    )
    interval_minutes: IntervalMinutes = Field(
        60,
        description="The minutes that a published count covers. Parts of an hour are added up. An hour without all its "
        "parts is rejected.",
    )
    holidays_country: Country = Field(description="ISO code of the country whose public holidays the features use.")
    history_months: int = Field(
        13, ge=3, le=120, description="Months of history that the first pass requests from a portal or the simulator."
    )
    quick: bool = Field(False, description="Train on a sample of the rows, in seconds. The scores are worse.")
    seed: int = Field(20, ge=0, description="Seed of training and of the simulator.")
    simulator_counters: int = Field(64, ge=4, le=2000, description="Number of counters in the simulated city.")
    simulator_scenarios: str = Field(
        "",
        description="Scenarios of the simulated city, separated by commas, such as late_rows,outliers. The command "
        "bike simulator --help lists them.",
    )

    portal_url: Addresses = Field(
        description="Scheme, host and port of the portal. Several addresses of one portal are separated by spaces. If "
        "the name of one does not resolve, the client uses the next."
    )
    portal_dataset: str = Field(description="Identifier of the dataset on the portal.")
    portal_fields: PortalFields = Field(
        description="The portal's field for each column of the platform. Only counter_id, bike_count and counted_at "
        "are required."
    )
    portal_labels: PortalFields | None = Field(
        None, description="Titles of these fields in a CSV export that has labels in place of field names."
    )
    portal_api_key: SecretStr | None = Field(
        None, description="Key for the portal's larger quota. The platform works without a key."
    )
    portal_timeout_seconds: float = Field(
        60,
        gt=0,
        le=600,
        description="Seconds of silence after which a request to the portal or the weather service fails. A whole "
        "response may take ten times as long.",
    )
    portal_attempts: int = Field(
        5, ge=1, le=20, description="Maximum number of attempts for one request to the portal or the weather service."
    )
    portal_backoff_seconds: float = Field(
        1,
        gt=0,
        le=60,
        description="Seconds before the second attempt. The wait then doubles with each attempt, up to 30 seconds.",
    )
    portal_quota_wait_seconds: float = Field(
        120,
        ge=0,
        le=3600,
        description="Maximum wait for the portal to reset a spent quota. If the reset is later, the run fails at once.",
    )

    weather: Literal["auto", "off", "open_meteo", "file", "simulator"] = Field(
        "auto",
        description="Where weather comes from. Weather is optional. auto takes BIKE_WEATHER_FILE if it is set. "
        "Otherwise auto follows the source of the counts: Open-Meteo for a portal, the simulator for the simulator, "
        "no weather for a file.",
    )
    weather_file: ExistingFile = Field(
        None, description="File of hourly or three-hourly weather (CSV or Parquet). BIKE_WEATHER=file requires it."
    )
    weather_latitude: float | None = Field(
        None, ge=-90, le=90, description="Degrees north of the city's centre. Open-Meteo needs both coordinates."
    )
    weather_longitude: float | None = Field(
        None, ge=-180, le=180, description="Degrees east of the city's centre. Open-Meteo needs both coordinates."
    )
    weather_archive_url: Address = Field(
        "https://archive-api.open-meteo.com", description="Scheme, host and port of Open-Meteo's past weather."
    )
    weather_forecast_url: Address = Field(
        "https://api.open-meteo.com", description="Scheme, host and port of Open-Meteo's forecasts and newest days."
    )

    threads: int = Field(2, ge=1, description="Number of threads for training, queries and the API.")

    max_share_incomplete: float = Field(
        0.10,
        ge=0,
        le=1,
        description="Maximum share of a day's rows without counter, count or time. Above it, an asset check reports "
        "an error.",
    )
    outlier_factor: float = Field(
        6.0, gt=1, description="A count is an outlier if it exceeds the counter's usual maximum by this factor."
    )
    outlier_floor: float = Field(
        300.0, ge=0, description="Bikes an hour. A count that does not exceed this number is never an outlier."
    )

    train_share: float = Field(
        0.65,
        gt=0,
        lt=1,
        description="Share of a new home's whole days that becomes the frozen set train_baseline: the first days.",
    )
    test_share: float = Field(
        0.15,
        gt=0,
        lt=1,
        description="Share of the whole days that becomes the frozen set test_baseline: the days after train_baseline. "
        "The rest is current. Both shares together are at most 0.98.",
    )
    training_window_months: int | None = Field(
        None,
        ge=3,
        le=120,
        description="Number of newest months of the training days that models are fitted on. By default, models are "
        "fitted on all training days.",
    )
    training_rows: int = Field(
        6_000_000,
        ge=10_000,
        description="Maximum number of rows, of all sets and horizons, that a training reads. A million rows need "
        "about 1 GB of memory. If there are more rows, the run draws a share of them and reports it.",
    )
    counters_left_out: str = Field(
        "",
        description="Ids of counters, separated by commas. Models do not learn from these counters, and scores ignore "
        "them.",
    )
    min_training_days: int = Field(
        84, ge=35, description="Minimum number of whole days in a home before the platform trains a model."
    )

    r2_floor: float = Field(
        0.60, description="Minimum R² on test_baseline. The double evaluation rejects a challenger below it."
    )
    min_gain: float = Field(
        0.02,
        ge=0,
        description="Gain in R² on test_current that a challenger has to exceed. Then it replaces the champion.",
    )
    min_residual_share: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Share of the champion's residual 1 - R² that the gain has to exceed. If it is set, it replaces "
        "BIKE_MIN_GAIN.",
    )
    certain_gain: bool = Field(
        False, description="Deploy a challenger only if the 95 % interval of its gain is above zero as well."
    )
    r2_critical: float = Field(
        0.65,
        description="Bound on R² over the newest 7 days. Below it, the decision is RETRAIN_REACTIVE. It is at most "
        "BIKE_R2_WARNING.",
    )
    r2_warning: float = Field(
        0.70, description="Bound on R² over the newest 7 days. From this value on, the champion is healthy."
    )
    drift_critical: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Bound on the share of drifted columns. From this value on, the decision for a weak champion is "
        "RETRAIN_PROACTIVE.",
    )
    drift_warning: float = Field(
        0.3,
        ge=0,
        le=1,
        description="Bound on the share of drifted columns. From this value on, the decision for a healthy champion is "
        "WAIT. It is at most BIKE_DRIFT_CRITICAL.",
    )
    rmse_limit: float = Field(
        60.0,
        gt=0,
        description="Bound on RMSE over the newest 7 days, in bikes an hour. Above it, the decision is "
        "RETRAIN_REACTIVE.",
    )
    min_scored_rows: int = Field(
        1000,
        ge=1,
        description="Minimum number of forecasts with counts. Below it, the decision is NOT_ENOUGH_DATA.",
    )
    naive_alarm_days: int = Field(
        3,
        ge=1,
        le=30,
        description="Number of days in a row on which the champion is worse than the seasonal naive forecast. From "
        "this number on, the platform raises an alarm.",
    )
    naive_is_cause: bool = Field(False, description="Whether these days cause a retrain as well.")
    cooldown_days: int = Field(
        3,
        ge=0,
        description="Days that the next automatic retrain waits after a retrain that brought no new champion.",
    )
    cooldown_later_days: int = Field(
        7, ge=0, description="Days that it waits after a second such retrain, and after each further one."
    )

    discord_webhook_url: Webhook = Field(
        None, description="Address of a Discord channel's webhook. Without it, the platform only logs its messages."
    )
    discord_timeout_seconds: float = Field(
        3, gt=0, le=30, description="Seconds of silence after which the platform gives up a message to Discord."
    )

    host: str = Field("127.0.0.1", description="Address that every server binds to.")
    dagster_port: int = Field(3000, ge=1, le=65535, description="Port of the Dagster UI.")
    api_port: int = Field(8000, ge=1, le=65535, description="Port of the API and its page.")
    mlflow_port: int = Field(5000, ge=1, le=65535, description="Port of MLflow.")
    exporter_port: int = Field(9101, ge=1, le=65535, description="Port of the metrics exporter.")
    prometheus_port: int = Field(9090, ge=1, le=65535, description="Port of Prometheus (make dashboards).")
    alertmanager_port: int = Field(9093, ge=1, le=65535, description="Port of Alertmanager (make dashboards).")
    grafana_port: int = Field(3001, ge=1, le=65535, description="Port of Grafana (make dashboards).")
    api_workers: int = Field(
        1, ge=1, le=64, description="Number of processes that serve the API. Each process loads the champion itself."
    )
    api_keys: ApiKeys = Field(
        None,
        description="Keys that start runs through the API: name:key pairs, separated by commas. A key has at least 16 "
        "ASCII characters. Without keys, the API starts no runs.",
    )
    api_timeout_seconds: float = Field(
        30,
        gt=0,
        le=600,
        description="Maximum time for a request's body to arrive, and for the API to answer a prediction.",
    )
    api_max_body_bytes: int = Field(
        4_000_000, ge=1000, description="Maximum size of a request's body. The API answers a larger body with 413."
    )
    api_cors_origins: str = Field("", description="Sites whose pages may read the API's answers, separated by spaces.")
    log_format: Literal["text", "json"] = Field(
        "text", description="Format of the API's log. json writes one object a line."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: arguments take precedence over the environment, the environment over the city's file."""
        named = init_settings().get("city_file") or os.environ.get("BIKE_CITY_FILE") or PARIS
        city = InitSettingsSource(settings_cls, init_kwargs=read_city_file(Path(named)))
        return init_settings, env_settings, city

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> "Settings":
        if self.source == "paris" and not self.is_paris:
            raise ValueError("BIKE_SOURCE=paris, and BIKE_CITY_FILE is another city: set BIKE_SOURCE=portal")
        if round(self.train_share + self.test_share, 9) > MAX_BASELINE_SHARE:
            raise ValueError(
                f"BIKE_TRAIN_SHARE and BIKE_TEST_SHARE together leave less than {1 - MAX_BASELINE_SHARE:.0%}"
            )
        if self.r2_critical > self.r2_warning:
            raise ValueError("BIKE_R2_CRITICAL is above BIKE_R2_WARNING")
        if self.drift_warning > self.drift_critical:
            raise ValueError("BIKE_DRIFT_WARNING is above BIKE_DRIFT_CRITICAL")
        return self

    @model_validator(mode="after")
    def _source_has_the_form(self) -> "Settings":
        if self.portal_fields.hour_of_day and self.source != "file":
            raise ValueError(
                f"BIKE_PORTAL_FIELDS__HOUR_OF_DAY is for files, and BIKE_SOURCE is {self.source}: set BIKE_SOURCE=file"
            )
        if self.interval_minutes != 60 and self.source in {"auto", "simulator"}:
            raise ValueError(
                f"BIKE_INTERVAL_MINUTES={self.interval_minutes} is for a portal or a file, and BIKE_SOURCE is "
                f"{self.source}: set BIKE_SOURCE=portal or BIKE_SOURCE=file"
            )
        return self

    @model_validator(mode="after")
    def _profile_is_complete(self) -> "Settings":
        if self.profile == "gcp" and (missing := self.gcp.missing()):
            raise ValueError(f"BIKE_PROFILE=gcp needs {' and '.join(missing)}")
        return self

    @model_validator(mode="after")
    def _weather_is_complete(self) -> "Settings":
        if (self.weather_latitude is None) != (self.weather_longitude is None):
            raise ValueError("of BIKE_WEATHER_LATITUDE and BIKE_WEATHER_LONGITUDE, only one is set")
        if self.weather == "open_meteo" and self.weather_latitude is None:
            raise ValueError("BIKE_WEATHER=open_meteo needs BIKE_WEATHER_LATITUDE and BIKE_WEATHER_LONGITUDE")
        if self.weather == "file" and self.weather_file is None:
            raise ValueError("BIKE_WEATHER=file needs BIKE_WEATHER_FILE, the path of a weather file (CSV or Parquet)")
        if self.weather not in {"auto", "file"} and self.weather_file is not None:
            raise ValueError(f"BIKE_WEATHER_FILE is set, and BIKE_WEATHER is {self.weather}: set BIKE_WEATHER=file")
        if self.weather == "simulator" and self.source not in {"auto", "simulator"}:
            raise ValueError(f"BIKE_WEATHER=simulator needs a simulated city, and BIKE_SOURCE is {self.source}")
        return self

    @property
    def runs_are_on_postgres(self) -> bool:
        """Whether PostgreSQL stores Dagster's runs, and the bucket stores their logs."""
        return self.profile == "gcp" and self.postgres_host is not None

    @property
    def is_paris(self) -> bool:
        """Whether BIKE_CITY_FILE is the file of Paris."""
        return self.city_file.expanduser().resolve() == PARIS.resolve()

    @property
    def naive_zone(self) -> str:
        """Zone of published times without an offset."""
        return self.timezone if self.times == "local" else "UTC"

    @property
    def published_form(self) -> PublishedForm:
        """The form in which the city publishes counts."""
        return PublishedForm(
            self.portal_fields,
            self.portal_labels,
            self.timezone,
            self.naive_zone,
            self.repeated_rows,
            self.interval_minutes,
        )

    @property
    def place(self) -> Place:
        """The city's country and time zone."""
        return Place(self.holidays_country, self.timezone)

    @property
    def retries(self) -> Retries:
        """How long and how often the portal and the weather service are asked."""
        return Retries(self.portal_timeout_seconds, self.portal_attempts, self.portal_backoff_seconds)

    @property
    def portal(self) -> PortalAccess:
        """How to reach the portal of these settings. A home may have recorded another one."""
        return PortalAccess(
            self.portal_url,
            self.portal_dataset,
            self.published_form,
            self.portal_api_key,
            self.retries,
            self.portal_quota_wait_seconds,
        )

    @property
    def named_portal(self) -> str | None:
        """The portal's addresses, or None if they are those of the city's file."""
        return None if self.portal_url == read_city_file(self.city_file).get("portal_url") else self.portal_url

    @property
    def named_dataset(self) -> str | None:
        """The portal's dataset, or None if it is that of the city's file."""
        return (
            None if self.portal_dataset == read_city_file(self.city_file).get("portal_dataset") else self.portal_dataset
        )

    @property
    def left_out(self) -> list[str]:
        """Ids of the counters in BIKE_COUNTERS_LEFT_OUT, sorted."""
        return sorted({name.strip() for name in self.counters_left_out.split(",")} - {""})

    @property
    def outlier_rule(self) -> OutlierRule:
        """The bounds above which a count is an outlier."""
        return OutlierRule(self.outlier_factor, self.outlier_floor)

    @property
    def split_rule(self) -> SplitRule:
        """The shares that split a home's days into baseline and current."""
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
        """How long a retrain waits after one that brought no new champion."""
        return CooldownRule(self.cooldown_days, self.cooldown_later_days)

    @property
    def thresholds(self) -> dict[str, float | int | bool | None]:
        """All bounds of the three rules, by name, such as `evaluation.r2_floor`."""
        rules: dict[str, Any] = {
            "evaluation": self.evaluation_rule,
            "retrain": self.retrain_rule,
            "cooldown": self.cooldown_rule,
        }
        return {f"{of}.{name}": value for of, rule in rules.items() for name, value in vars(rule).items()}

    @property
    def keys_by_name(self) -> dict[str, str]:
        """The API's keys, by the name of their owner. Empty if no key is set."""
        return read_api_keys(self.api_keys.get_secret_value()) if self.api_keys else {}

    @property
    def dagster_address(self) -> str:
        """Address of the Dagster UI and its GraphQL API."""
        return f"http://{self.host}:{self.dagster_port}"

    @property
    def mlflow_address(self) -> str:
        """Address of MLflow's pages."""
        return f"http://{self.host}:{self.mlflow_port}"

    @property
    def api_address(self) -> str:
        """Address of the API."""
        return f"http://{self.host}:{self.api_port}"

    @property
    def home_folder(self) -> Path:
        """The home as an absolute path."""
        return self.home.expanduser().absolute()


SECRETS = {name for name, field in Settings.model_fields.items() if SecretStr in get_args(field.annotation)}


def read_city_file(path: Path) -> dict[str, Any]:
    """Read a city's defaults from its TOML file.

    Raises:
        BikeError: the file cannot be read, is not TOML, or has a key that is no setting.
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


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment and the city's file.

    Args:
        overrides: settings by field, which take precedence over the environment.

    Raises:
        BikeError: a setting is not valid. The message names the setting.
    """
    try:
        return Settings(**overrides)
    except SettingsError as error:
        raise BikeError(describe_invalid_json(error)) from None
    except ValidationError as error:
        raise BikeError(describe_first_error(error, SECRETS)) from None

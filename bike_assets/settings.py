"""Typed settings and thresholds: the only reader of the environment (prefix BIKE_).

What a home records of itself (its source, its first day) belongs to `home`.
"""

from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from bike_assets.core.calendar import has_holidays
from bike_assets.core.decisions import EvaluationRule, RetrainRule
from bike_assets.core.splits import SplitRule
from bike_assets.errors import BikeError

MOST_BASELINE = 0.95
"""Train and test baseline together: what is left is current, and something has to be."""


class Settings(BaseSettings):
    """Everything that can be set, each from BIKE_<NAME>."""

    model_config = SettingsConfigDict(
        env_prefix="BIKE_", frozen=True, extra="ignore", env_ignore_empty=True, allow_inf_nan=False
    )

    home: Path = Field(Path(".bike"), description="Folder of everything that runs leave behind.")
    source: Literal["auto", "simulator", "file"] = Field("auto", description="Where counts come from.")
    counts_file: Path | None = Field(None, description="A portal export (Parquet or CSV), for BIKE_SOURCE=file.")
    timezone: str = Field("Europe/Paris", description="Zone of the local days; fixed once a home exists.")
    holidays_country: str = Field("FR", description="ISO code of the country whose public holidays count.")
    history_months: int = Field(13, ge=3, le=120, description="Months of history asked of a source without an end.")
    quick: bool = Field(False, description="Train on a sample, in seconds; scores are worse.")
    seed: int = Field(20, ge=0, description="Seed of training and of the simulator.")
    simulator_counters: int = Field(64, ge=4, le=500, description="Counters in the simulated city.")
    threads: int = Field(2, ge=1, description="Threads for training, queries and serving.")

    train_share: float = Field(0.65, gt=0, lt=1, description="Share of the first whole days in train_baseline.")
    test_share: float = Field(0.15, gt=0, lt=1, description="Share of the days after them in test_baseline.")
    min_training_days: int = Field(84, ge=35, description="Whole days that a home needs before a model is trained.")

    r2_floor: float = Field(0.60, description="R2 on test_baseline below which a challenger is rejected.")
    min_gain: float = Field(0.02, ge=0, description="R2 on test_current by which a challenger has to win.")
    r2_critical: float = Field(0.65, description="Recent R2 below which a retrain is reactive.")
    r2_warning: float = Field(0.70, description="Recent R2 from which the model is healthy.")
    drift_critical: float = Field(0.5, ge=0, le=1, description="Drift share from which a weak model is retrained.")
    drift_warning: float = Field(0.3, ge=0, le=1, description="Drift share from which a healthy model is watched.")
    rmse_limit: float = Field(60.0, gt=0, description="Recent RMSE (bikes an hour) above which a retrain is reactive.")
    min_scored_rows: int = Field(1000, ge=1, description="Forecasts with counts needed to speak of performance.")
    retrain_cooldown_days: int = Field(7, ge=0, description="Days after a training in which no other is started.")

    host: str = Field("127.0.0.1", description="Address that every server binds to.")
    dagster_port: int = Field(3000, ge=1, le=65535)
    api_port: int = Field(8000, ge=1, le=65535)
    mlflow_port: int = Field(5000, ge=1, le=65535)

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
        if round(self.train_share + self.test_share, 9) > MOST_BASELINE:
            raise ValueError(f"BIKE_TRAIN_SHARE and BIKE_TEST_SHARE together leave less than {1 - MOST_BASELINE:.0%}")
        if self.r2_critical > self.r2_warning:
            raise ValueError("BIKE_R2_CRITICAL is above BIKE_R2_WARNING")
        if self.drift_warning > self.drift_critical:
            raise ValueError("BIKE_DRIFT_WARNING is above BIKE_DRIFT_CRITICAL")
        return self

    @property
    def split_rule(self) -> SplitRule:
        """How a home's days are cut."""
        return SplitRule(self.train_share, self.test_share, self.min_training_days)

    @property
    def evaluation_rule(self) -> EvaluationRule:
        """The bounds of the double evaluation."""
        return EvaluationRule(self.r2_floor, self.min_gain)

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
        )

    @property
    def home_folder(self) -> Path:
        """The home as an absolute path."""
        return self.home.expanduser().absolute()


def load_settings() -> Settings:
    """Read the settings.

    Raises:
        BikeError: a setting is not what it has to be; the message names it.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        told = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            raise BikeError(f"The settings do not fit together: {told}.") from None
        name = "BIKE_" + "_".join(str(part) for part in first["loc"]).upper()
        raise BikeError(f"{name}={first['input']!r} is not accepted: {told[0].lower()}{told[1:]}.") from None

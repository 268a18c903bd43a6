"""How the API writes its log: a line an event, as logfmt or JSON, its own lines and uvicorn's alike."""

import logging
import logging.config
import sys

import msgspec
import structlog
from structlog.typing import Processor

from bike_assets.settings import Settings

_SHARED: tuple[Processor, ...] = (
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
)


def set_up_logs(settings: Settings) -> None:
    """Let everything in this process log to standard error in the form that the settings ask for."""
    renderer = _renderer(settings)
    structlog.configure(
        processors=[*_SHARED, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": [structlog.stdlib.add_logger_name, *_SHARED],
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"lines": formatter},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
            "root": {"handlers": ["stderr"], "level": "WARNING"},
            "loggers": {
                "serving": {"level": "INFO"},
                "uvicorn": {"level": "INFO"},
                "uvicorn.access": {"level": "WARNING"},
            },
        }
    )


def _renderer(settings: Settings) -> Processor:
    if settings.log_format == "json":
        return structlog.processors.JSONRenderer(lambda event, **_: msgspec.json.encode(event, enc_hook=str).decode())
    return structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], drop_missing=True)

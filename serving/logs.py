"""The API's log: one line per event, as logfmt or JSON, for its own events and uvicorn's."""

import logging
import logging.config
import sys
from datetime import UTC, datetime

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
    """Make this process log to standard error, in the format of the settings."""
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


def log_request(log_format: str, method: str, path: bytes, status: int, milliseconds: float, request_id: str) -> None:
    """Write the log line of a request. It bypasses structlog, because every request writes one and this is faster.

    Args:
        log_format: text or json.
        method: as the client sent it.
        path: as the client sent it, so it has no blank and no line break.
        status: status of the answer.
        milliseconds: from the request's head to the end of the answer.
        request_id: the id in the answer.
    """
    now, shown_path = datetime.now(UTC).isoformat(timespec="milliseconds"), path.decode("ascii", "replace")
    if log_format == "json":
        fields = {"timestamp": now, "level": "info", "event": "request", "method": method, "path": shown_path}
        line = msgspec.json.encode({**fields, "status": status, "milliseconds": milliseconds, "request_id": request_id})
        sys.stderr.write(f"{line.decode()}\n")
        return
    sys.stderr.write(
        f"timestamp={now} level=info event=request method={method} path={shown_path} status={status} "
        f"milliseconds={milliseconds} request_id={request_id}\n"
    )


def _renderer(settings: Settings) -> Processor:
    if settings.log_format == "json":
        return structlog.processors.JSONRenderer(lambda event, **_: msgspec.json.encode(event, enc_hook=str).decode())
    return structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], drop_missing=True)

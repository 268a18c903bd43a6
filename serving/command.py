"""Starts the API's process, or several that share a port. The application is in `server`."""

import os
import signal
import sys
import tempfile

import uvicorn

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
KEEP_ALIVE_SECONDS = 30


def serve(host: str, port: int, workers: int) -> None:
    """Serve until the process ends. Each worker reads its settings from the environment."""
    # uvicorn raises the signal again, which would end the process before the folder is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="bike-api-") as folder:
        # Set it before prometheus-client is imported: workers then share their figures in files.
        os.environ[METRICS_FOLDER] = folder
        uvicorn.run(
            "serving.server:app_from_environment",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=5,
        )

"""How the API's processes are started: one, or several that share a port. The application itself is in `server`."""

import os
import signal
import sys
import tempfile

import uvicorn

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
KEEP_ALIVE_SECONDS = 30


def serve(host: str, port: int, workers: int) -> None:
    """Serve until the process is ended; settings come from the environment, as each worker reads them."""
    # uvicorn ends by the signal that it got, and what is after it would not be done.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="bike-api-") as folder:
        # It has to be there before prometheus-client is imported: workers add their figures up in files.
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

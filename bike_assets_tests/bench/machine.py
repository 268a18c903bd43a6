"""What the figures were measured on: processor cores, memory, versions, and how busy the machine was."""

import os
import platform
from importlib.metadata import version
from typing import Any

import psutil

PACKAGES = ("dagster", "pandas", "pyarrow", "duckdb", "lightgbm", "onnxruntime", "mlflow", "evidently")


def machine_facts() -> dict[str, Any]:
    """Return facts on machine and software; nothing that names the machine or its user."""
    return {
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 1024**3, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "load_at_start": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }

"""The bike-traffic platform as a Dagster code location: counts in, a judged champion, forecasts and decisions out.

Importing this package stays light: what is heavy (mlflow, evidently, lightgbm) is imported inside functions. Libraries
that read the environment when they are imported get their values here, because this module is always imported first.
"""

import os
from pathlib import Path

_NO_TELEMETRY = {
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "ITERATIVE_DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "ORT_DISABLE_TELEMETRY": "1",
}
# Without these, matplotlib and Keras write into the user's home, and settings there could change a training.
_CACHE = Path(os.environ.get("BIKE_HOME") or ".bike").expanduser().absolute() / "cache"
_CACHES = {"KERAS_HOME": str(_CACHE / "keras"), "MPLCONFIGDIR": str(_CACHE / "matplotlib")}
_DEFAULTS = {
    "GIT_PYTHON_REFRESH": "quiet",
    # Servers and runs share the cores: idle threads have to give theirs up.
    "OMP_WAIT_POLICY": "PASSIVE",
}
os.environ.update(_NO_TELEMETRY)
for _variable, _value in {**_CACHES, **_DEFAULTS}.items():
    os.environ.setdefault(_variable, _value)

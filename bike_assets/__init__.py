"""The bike-traffic platform as a Dagster code location: counts in, a judged champion, forecasts and decisions out.

Importing this package stays light: what is heavy (mlflow, evidently, lightgbm) is imported inside functions.
"""

import os

_DEFAULTS = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    # Servers and runs share the cores: threads that wait for work have to give theirs up.
    "OMP_WAIT_POLICY": "PASSIVE",
}
for _variable, _value in _DEFAULTS.items():
    os.environ.setdefault(_variable, _value)

"""The bike-traffic platform as a Dagster code location: counts in, a judged champion, forecasts and decisions out.

Importing this package stays light: what is heavy (mlflow, evidently, lightgbm) is imported inside functions.
"""

import os

for _variable, _value in {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}.items():
    os.environ.setdefault(_variable, _value)

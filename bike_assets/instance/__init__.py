"""The Dagster instance of a home. What Dagster runs on it belongs to `assets`, `checks` and `automation`."""

"""Rules and arithmetic, free of Dagster: a notebook or the API server can call all of it."""

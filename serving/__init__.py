"""The REST server of the champion. It reads the registry and the warehouse, never trains, and imports no Dagster."""

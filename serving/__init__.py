"""The REST server of the champion. It reads registry and warehouse; it never trains, and imports no Dagster."""

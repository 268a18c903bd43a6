"""Reads counts and weather from a source into the warehouse. Sources and the warehouse belong to `resources`."""

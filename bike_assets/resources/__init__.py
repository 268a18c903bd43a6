"""Everything that the platform reads from and writes to. What the data mean belongs to `core`."""

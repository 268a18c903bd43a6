"""Where things are read from and written to. What they mean belongs to `core`."""

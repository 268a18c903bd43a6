"""From a source's rows to the warehouse: counts and weather. Sources and the warehouse belong to `resources`."""

"""A home: the folder of one city, its record and its locks. Its content belongs to `resources`."""

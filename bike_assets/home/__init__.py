"""A home: the folder of one city, its record and its locks. What is stored in it belongs to `resources`."""

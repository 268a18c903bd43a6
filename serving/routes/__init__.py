"""The endpoints, a module a subject; each gives a router to `serving.server`. What they answer is made elsewhere."""

"""The endpoints, one module per subject; `serving.server` adds them to the application."""

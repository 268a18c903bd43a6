-- Beside the database dagster, which PostgreSQL's image makes itself.
CREATE DATABASE mlflow;

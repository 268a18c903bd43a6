"""The exporter: at each scrape, reads the platform's metrics for Prometheus from registry, warehouse and Dagster.

`names` lists the metrics; `data`, `decisions`, `drift`, `models` and `orchestration` each read a part of them. The
API's own metrics belong to `serving.metrics`; alert rules and dashboards to `dashboards`.
"""

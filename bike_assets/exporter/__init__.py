"""The exporter: figures of the platform for Prometheus, read from registry, warehouse and Dagster when it is scraped.

Which figures there are is in `names`; each other module reads one part of them. What the API counts of itself is in
`serving.metrics`; what is made of the figures (rules, dashboards) is in `dashboards`.
"""

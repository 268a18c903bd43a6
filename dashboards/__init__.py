"""Dashboards as code: what each asks and how it looks, the JSON that Grafana gets, and its provisioning.

Nothing here computes a figure: the exporter (`bike_assets.exporter`) and the API (`serving.metrics`) do. Making the
JSON needs the development requirements; reading it, as `queries` does, needs nothing.
"""

from dashboards.committed import Query, annotation_queries, may_be_empty, queries

__all__ = ["Query", "annotation_queries", "may_be_empty", "queries"]

"""Dashboards as code: their queries and looks, the JSON for Grafana, and its provisioning.

Nothing here computes a figure: the exporter (`bike_assets.exporter`) and the API (`serving.metrics`) do. Making the
JSON needs the development requirements; reading it, as `queries` does, does not.
"""

from dashboards.committed import Query, annotation_queries, may_be_empty, queries

__all__ = ["Query", "annotation_queries", "may_be_empty", "queries"]

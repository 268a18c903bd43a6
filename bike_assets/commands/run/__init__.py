"""`bike run` and `bike dashboards`: start the servers, supervise their processes, and run Prometheus beside them."""

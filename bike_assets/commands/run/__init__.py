"""`bike run` and `bike dashboards`: the servers, how their processes are supervised, and Prometheus beside them."""

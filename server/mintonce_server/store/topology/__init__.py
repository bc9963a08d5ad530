"""Ways to reach a store: one server, the primary that Sentinels name, or the servers of a Cluster."""

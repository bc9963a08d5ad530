"""HTTP for people and for Prometheus: metrics and the status page. Read-only."""

"""Evidence: what guests show, send and keep."""

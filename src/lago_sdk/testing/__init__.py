"""Shipped helpers for tests: fakes of the ports, and the pytest plugin."""

"""Bringing guests into shape: deploy scripts, services, and files for other tools."""

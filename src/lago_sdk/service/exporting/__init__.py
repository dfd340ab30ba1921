"""Prefixes as directories of files: written by an export, taken in by an import."""

"""Use cases over ports, one module for each family of verbs."""

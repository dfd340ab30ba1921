"""Making a prefix: from a spec to a plan, and to the files that it takes."""

"""lagoctl: the command line over the public names of lago_sdk."""

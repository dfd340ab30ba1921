"""Inside of guests: how they are reached, waited for, and given commands and files."""

"""What plugins give, looked at before it is used."""

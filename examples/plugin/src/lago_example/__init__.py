"""One plugin of each kind; each module is imported when its plugin is used."""

"""Where disks come from: the store and the build recipes."""

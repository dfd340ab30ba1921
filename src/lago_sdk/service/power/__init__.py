"""Starting, stopping, rebooting and pausing VMs and nets."""

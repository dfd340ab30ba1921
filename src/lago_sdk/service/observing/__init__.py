"""What a prefix looks like now: states, and what VMs use."""

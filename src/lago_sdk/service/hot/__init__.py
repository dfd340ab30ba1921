"""Changes to VMs that run."""

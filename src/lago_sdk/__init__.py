"""A small virtual data centre from one file: VMs, nets and disks, typed and rootless."""

"""Pure allocators: subnets, addresses, MACs and names."""

"""Allocators: names, subnets, addresses, MACs and devices. Pure; they work on plain numbers."""

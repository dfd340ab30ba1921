"""Text from plans: libvirt XML and cloud-init documents. Pure."""

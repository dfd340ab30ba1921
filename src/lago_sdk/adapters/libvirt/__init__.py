"""libvirt: the only package that imports it, and only when used."""

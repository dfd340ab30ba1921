"""Where prefixes run: private namespaces, or the system's libvirtd."""

"""What a user holds of a part of a VM or net; each is given its plan and the prefix's context."""

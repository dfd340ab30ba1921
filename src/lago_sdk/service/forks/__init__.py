"""Forks: independent prefixes that go on from the memory and disks of another one.

Disks of forks lie on frozen layers. A layer is one file with a name in each prefix that needs it
(a hard link), so the file system counts its users, and forgets it with the last one: prefixes can
be stopped, destroyed and killed in any order, and none needs another's directory.
"""

"""The cache of checkpoints: labs that were provisioned once, and come up as they were then.

A checkpoint is a directory of the user's cache that looks like a fork which has not started:
memories, frozen layers of disks, keys. Its *key* (`key`) is all that made the lab. A new lab with
the same key takes what it needs by hard links (`adopt`), and goes on from there at its first
start (`start`); where there is none it boots, is deployed to, and is kept (`keep`).
"""

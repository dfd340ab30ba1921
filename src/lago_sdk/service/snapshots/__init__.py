"""Snapshots: named points of VMs to go back to.

``model`` says what a snapshot is, ``store`` keeps the records, ``choose`` finds the mechanism that
can keep a VM. ``create``, ``revert`` and ``delete`` are the verbs; they work by ``capture`` and
``recall``, which keep one VM and bring one back, and by ``cut``, the moment at which all VMs
stand still. ``repair`` ends what was cut off. ``settle`` makes guests usable after a revert, and
``clean`` knows whether anything has happened to them since.
"""

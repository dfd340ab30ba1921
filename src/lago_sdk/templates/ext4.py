"""Write a directory tree as an ext4 file system, without mounting anything and without root.

``mke2fs`` makes it empty and ``debugfs`` fills it, entry by entry in sorted order and with a
fixed time, so the same tree gives the same bytes. (``mke2fs -d`` would take owners, times and
the order of names from the host's file system.)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lago_sdk.adapters.process import run
from lago_sdk.errors import TemplateError, shorten
from lago_sdk.templates.tree import Directory, File, Link

if TYPE_CHECKING:
    from pathlib import Path

    from lago_sdk.templates.tree import Entry, Tree

BLOCK_SIZE = 4096
CONFIG = """\
[defaults]
  base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
  default_mntopts = acl,user_xattr
  enable_periodic_fsck = 0
  inode_size = 256
[fs_types]
  ext4 = {
    features = has_journal,extent,huge_file,flex_bg,uninit_bg,64bit,dir_nlink,extra_isize
  }
"""
"""Our own mke2fs.conf: what the host's says must not show in the image.

With uninit_bg e2fsck skips inodes that nobody has used, which takes half the time.
"""


def create_ext4(
    path: Path,
    tree: Tree,
    *,
    offset: int,
    size: int,
    label: str,
    uuid: str,
    timestamp: int,
    scratch: Path,
    inodes: int = 8192,
    journal: int = 4,
) -> None:
    """Make an ext4 file system that holds *tree* in an area of zeros of the file *path*.

    Args:
        path: The disk; extended where it is shorter than the area.
        tree: What goes into it.
        offset: Where the area begins, in bytes.
        size: Bytes of the file system; a multiple of the block size.
        label: Its label.
        uuid: Its UUID; also seeds the hashes of directories.
        timestamp: Every time in it, in seconds since the epoch.
        scratch: An empty directory for intermediate files.
        inodes: How many files and directories it may hold.
        journal: MiB of its journal.

    Raises:
        MissingToolError: e2fsprogs is not installed.
        TemplateError: The tree does not fit, or cannot be written.
    """
    config = scratch / "mke2fs.conf"
    config.write_text(CONFIG)
    with path.open("ab") as file:
        file.truncate(max(file.tell(), offset + size))
    environ = {"MKE2FS_CONFIG": str(config), "E2FSPROGS_FAKE_TIME": str(timestamp)}
    options = f"hash_seed={uuid},lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0,nodiscard"
    options += f",offset={offset}"
    blocks, area = str(size // BLOCK_SIZE), f"{path}?offset={offset}"
    argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-b", str(BLOCK_SIZE), "-m", "0", "-L", label]
    argv += ["-J", f"size={journal}", "-N", str(inodes), "-U", uuid, "-E", options]
    run([*argv, str(path), blocks], env=environ)
    script = scratch / "debugfs.txt"
    script.write_text(_script(tree, scratch, timestamp), encoding="utf-8")
    done = run(["debugfs", "-w", "-f", script.name, area], cwd=scratch, env=environ)
    # debugfs exits with 0 when a command failed, but says so after its banner.
    complaints = done.err.splitlines()[1:]
    if complaints:
        raise TemplateError(f"cannot fill the file system: {shorten(' '.join(complaints), 400)}")
    run(["e2fsck", "-fn", area], env=environ)


def _script(tree: Tree, scratch: Path, timestamp: int) -> str:
    lines = [f"set_current_time @{timestamp}"]
    for number, (path, entry) in enumerate(tree.list()):
        parent, _, name = path.rpartition("/")
        lines.append(f"cd {_quote(f'/{parent}')}")
        lines += _commands(_quote(name), entry, scratch / f"file{number}")
    return "\n".join(lines) + "\n"


def _commands(name: str, entry: Entry, source: Path) -> list[str]:
    match entry:
        case Link():
            return [f"symlink {name} {_quote(entry.target)}", *_owner(name, 0, 0)]
        case Directory():
            owner = _owner(name, entry.uid, entry.gid)
            return [f"mkdir {name}", *owner, _mode(name, 0o040000 | entry.mode)]
        case File():
            if isinstance(entry.source, bytes):
                source.write_bytes(entry.source)
            else:
                # A name without blanks, in the directory where debugfs runs.
                source.symlink_to(entry.source.absolute())
            owner = _owner(name, entry.uid, entry.gid)
            lines = [f"write {source.name} {name}", *owner, _mode(name, 0o100000 | entry.mode)]
            if entry.capability is not None:
                value = source.with_suffix(".capability")
                value.write_bytes(entry.capability)
                lines.append(f"ea_set -f {value.name} {name} security.capability")
            return lines


def _quote(text: str) -> str:
    """Return *text* as one word of debugfs, which knows double quotes only, doubled inside."""
    if not text or re.search(r'[\s"]', text):
        return '"' + text.replace('"', '""') + '"'
    return text


def _owner(name: str, uid: int, gid: int) -> list[str]:
    return [f"set_inode_field {name} uid {uid}", f"set_inode_field {name} gid {gid}"]


def _mode(name: str, mode: int) -> str:
    return f"set_inode_field {name} mode 0{mode:o}"

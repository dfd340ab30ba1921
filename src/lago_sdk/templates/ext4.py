"""Write a directory tree as an ext4 file system, without mounting anything and without root.

``mke2fs`` makes it empty and ``debugfs`` fills it, entry by entry in sorted order and with a
fixed time, so the same tree gives the same bytes. (``mke2fs -d`` would take owners, times and
the order of names from the host's file system.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.adapters.process import run
from lago_sdk.errors import TemplateError, shorten
from lago_sdk.templates.tree import Directory, File, Link

if TYPE_CHECKING:
    from pathlib import Path

    from lago_sdk.templates.tree import Entry, Tree

BLOCK_SIZE = 4096
_CONFIG = """\
[defaults]
  base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
  default_mntopts = acl,user_xattr
  enable_periodic_fsck = 0
  inode_size = 256
[fs_types]
  ext4 = {
    features = has_journal,extent,huge_file,flex_bg,64bit,dir_nlink,extra_isize
  }
"""
"""Our own mke2fs.conf: what the host's says must not show in the image."""


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

    Raises:
        MissingToolError: e2fsprogs is not installed.
        TemplateError: The tree does not fit, or cannot be written.
    """
    config = scratch / "mke2fs.conf"
    config.write_text(_CONFIG)
    with path.open("ab") as file:
        file.truncate(max(file.tell(), offset + size))
    environ = {"MKE2FS_CONFIG": str(config), "E2FSPROGS_FAKE_TIME": str(timestamp)}
    options = f"hash_seed={uuid},lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0,nodiscard"
    options += f",offset={offset}"
    blocks, area = str(size // BLOCK_SIZE), f"{path}?offset={offset}"
    argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-b", str(BLOCK_SIZE), "-m", "0", "-L", label]
    run(
        [*argv, "-J", "size=4", "-N", "8192", "-U", uuid, "-E", options, str(path), blocks],
        env=environ,
    )
    script = scratch / "debugfs.txt"
    script.write_text(_script(tree, scratch, timestamp))
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
        lines.append(f"cd /{parent}")
        lines += _commands(name, entry, scratch / f"file{number}")
    return "\n".join(lines) + "\n"


def _commands(name: str, entry: Entry, source: Path) -> list[str]:
    match entry:
        case Link():
            return [f"symlink {name} {entry.target}", *_owner(name)]
        case Directory():
            return [f"mkdir {name}", *_owner(name), _mode(name, 0o040000 | entry.mode)]
        case File():
            if isinstance(entry.source, bytes):
                source.write_bytes(entry.source)
            else:
                # A name without blanks, in the directory where debugfs runs.
                source.symlink_to(entry.source.absolute())
            mode = _mode(name, 0o100000 | entry.mode)
            return [f"write {source.name} {name}", *_owner(name), mode]


def _owner(name: str) -> list[str]:
    return [f"set_inode_field {name} uid 0", f"set_inode_field {name} gid 0"]


def _mode(name: str, mode: int) -> str:
    return f"set_inode_field {name} mode 0{mode:o}"

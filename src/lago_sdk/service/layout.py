"""Where everything of a prefix lies, relative to its directory."""

from __future__ import annotations

from pathlib import Path

import attrs


@attrs.frozen
class PrefixLayout:
    """Names of the files of one prefix."""

    path: Path
    """The prefix directory; absolute."""

    @property
    def uuid(self) -> Path:
        """32 hex digits that identify the prefix; the first file written, the last removed."""
        return self.path / "uuid"

    @property
    def initialized(self) -> Path:
        """Empty marker: everything that ``create`` makes is there."""
        return self.path / "initialized"

    @property
    def metadata(self) -> Path:
        """JSON: host, version, times."""
        return self.path / "metadata"

    @property
    def spec(self) -> Path:
        """The spec as an init file."""
        return self.path / "LagoInitFile"

    @property
    def plan(self) -> Path:
        """The plan as JSON."""
        return self.path / "plan.json"

    @property
    def journal(self) -> Path:
        """Intents and their ends, a JSON record a line."""
        return self.path / "journal.jsonl"

    @property
    def lock(self) -> Path:
        """Held while something changes the prefix."""
        return self.path / ".lock"

    @property
    def private_key(self) -> Path:
        """The key that guests let in."""
        return self.path / "id_ed25519"

    @property
    def public_key(self) -> Path:
        """Its public half, as a line of ``authorized_keys``."""
        return self.path / "id_ed25519.pub"

    @property
    def known_hosts(self) -> Path:
        """Host keys of the guests, by VM name."""
        return self.path / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        """How OpenSSH's programs log in to the guests."""
        return self.path / "ssh_config"

    @property
    def images(self) -> Path:
        """Disks and seeds."""
        return self.path / "images"

    @property
    def appliances(self) -> Path:
        """Images unpacked from OVA archives, a directory for each VM."""
        return self.path / "appliances"

    @property
    def snapshots(self) -> Path:
        """Snapshots: a directory for each, and what is known of them all."""
        return self.path / "snapshots"

    @property
    def layers(self) -> Path:
        """Frozen images below the disks of forks; the same files in all that share them."""
        return self.path / "images" / "layers"

    @property
    def fork_mark(self) -> Path:
        """JSON, while a fork is being made: of which prefix."""
        return self.path / ".fork"

    @property
    def fork_state(self) -> Path:
        """Memories that forks begin from; gone once they have."""
        return self.path / "fork"

    @property
    def checkpoint(self) -> Path:
        """JSON: what a lab that uses the cache has to do with checkpoints."""
        return self.path / "checkpoint.json"

    @property
    def clean_marks(self) -> Path:
        """A JSON file for each VM that nobody has used since it was at a snapshot."""
        return self.path / "snapshots" / ".clean"

    @property
    def logs(self) -> Path:
        """Consoles, libvirtd, the host's supervisor."""
        return self.path / "logs"

    @property
    def service_providers(self) -> Path:
        """JSON: what manages the services of each guest, by VM name, as far as found out."""
        return self.path / "service-providers.json"

    @property
    def display_passwords(self) -> Path:
        """Passwords of the display servers, a file for each VM that has one."""
        return self.path / "display-passwords"

    @property
    def scripts(self) -> Path:
        """Copies of the deploy scripts."""
        return self.path / "scripts"

"""OpenPGP signatures of checksum files, where gpg and the vendor's key are at hand."""

from __future__ import annotations

import enum
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.adapters.process import find_tool, run
from lago_sdk.errors import TemplateError, ToolError

if TYPE_CHECKING:
    from collections.abc import Sequence

_STATUS = "[GNUPG:] "
_BAD = {"BADSIG", "EXPSIG", "REVKEYSIG"}


class Verdict(enum.Enum):
    """What came of checking a signature."""

    GOOD = "good"
    NO_GPG = "gpg is not installed"
    NO_KEY = "gpg does not have the vendor's key"


@attrs.frozen(kw_only=True)
class Checked:
    """A text whose signature has been looked at."""

    text: str
    """What was signed: of a clear-signed file only that part."""
    verdict: Verdict


def check_signature(
    text: str,
    signature: bytes | None,
    *,
    keys: Sequence[str],
    keyrings: Sequence[str],
    source: str,
) -> Checked:
    """Check that *text* is signed by one of *keys*.

    Args:
        text: The file; with the signature in it when *signature* is ``None``.
        signature: A detached signature.
        keys: Fingerprints of the vendor's keys, any of which will do.
        keyrings: Files of keys to look in besides the user's own; absent ones are skipped.
        source: Where the text came from, for messages.

    Raises:
        TemplateError: The signature is bad, or somebody else's.
    """
    if find_tool("gpg") is None:
        return Checked(text=text, verdict=Verdict.NO_GPG)
    with tempfile.TemporaryDirectory(prefix="lago-gpg-") as directory:
        signed, output = Path(directory, "signed"), Path(directory, "output")
        signed.write_text(text)
        options = ["--batch", "--no-auto-key-retrieve", "--status-fd", "1"]
        options += [
            word for ring in keyrings if Path(ring).exists() for word in ("--keyring", ring)
        ]
        if signature is None:
            command = ["--output", str(output), "--decrypt", str(signed)]
        else:
            Path(directory, "signature").write_bytes(signature)
            command = ["--verify", str(Path(directory, "signature")), str(signed)]
        try:
            done = run(["gpg", *options, *command], check=False, timeout=60)
        except ToolError as error:
            raise TemplateError(
                f"cannot check the signature of {source}: {error.output}"
            ) from error
        verdict = _judge(done.out, keys, source)
        if verdict is Verdict.GOOD and signature is None:
            text = output.read_text()
    return Checked(text=text, verdict=verdict)


def _judge(status: str, keys: Sequence[str], source: str) -> Verdict:
    lines = [line.removeprefix(_STATUS).split() for line in status.splitlines()]
    reports = {words[0]: words for words in lines if words}
    bad = next((name for name in sorted(_BAD) if name in reports), None)
    if bad is not None:
        raise TemplateError(
            f"the signature of {source} is bad ({bad})",
            hint="do not use what it lists; try again later, and tell the vendor",
        )
    valid = reports.get("VALIDSIG")
    if valid is None:
        if "NO_PUBKEY" in reports or "ERRSIG" in reports:
            return Verdict.NO_KEY
        raise TemplateError(
            f"{source} has no signature that gpg understands", hint="tell the vendor"
        )
    if not {valid[1], valid[-1]} & {key.upper().replace(" ", "") for key in keys}:
        raise TemplateError(
            f"{source} is signed by the key {valid[-1]}, which is not the vendor's",
            hint="do not use what it lists, or add the key to the entry in a catalogue of yours",
        )
    return Verdict.GOOD

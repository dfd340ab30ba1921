"""What the init file of the language tests names: images, an archive, a kernel, a web server."""

import functools
import http.server
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTITION_OFFSET = 1 << 20
"""Where the root file system of the tiny template begins, in bytes."""

OVF = """\
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
  <References>
    <File ovf:id="root" ovf:href="box-disk1.vmdk"/>
    <File ovf:id="more" ovf:href="box-disk2.img"/>
  </References>
  <DiskSection>
    <Disk ovf:diskId="d1" ovf:fileRef="root" ovf:capacity="257"
      ovf:capacityAllocationUnits="byte * 2^20"/>
    <Disk ovf:diskId="d2" ovf:fileRef="more" ovf:capacity="4194304"/>
  </DiskSection>
  <VirtualSystem ovf:id="box">
    <VirtualHardwareSection>
      <Item><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>1</rasd:VirtualQuantity></Item>
      <Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>
        <rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>200</rasd:VirtualQuantity></Item>
      <Item><rasd:HostResource>ovf:/disk/d1</rasd:HostResource><rasd:ResourceType>17</rasd:ResourceType></Item>
      <Item><rasd:HostResource>ovf:/disk/d2</rasd:HostResource><rasd:ResourceType>17</rasd:ResourceType></Item>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"""


def qemu_img(*arguments: object) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True)


def make_text_image(path: Path, text: str, size: int = 1 << 20) -> None:
    """A raw image that begins with *text*."""
    path.write_bytes(text.encode().ljust(size, b"\0"))


def make_cdrom(path: Path, name: str, text: str) -> None:
    import pycdlib

    data = text.encode()
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, vol_ident="MEDIUM", rock_ridge="1.09")
    from io import BytesIO

    iso.add_fp(BytesIO(data), len(data), "/FILE.;1", rr_name=name)
    iso.write(str(path))
    iso.close()


def make_layered(path: Path, template: Path, version: str) -> None:
    """A layer as Lago exported them: on a template that is not beside it."""
    qemu_img("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", template, path)
    qemu_img("rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", f"./tiny:{version}", path)


def extract_kernel(template: Path, directory: Path) -> None:
    """Take kernel and initial RAM disk out of the tiny template."""
    disk = directory / "template.raw"
    qemu_img("convert", "-O", "raw", template, disk)
    for name in ("vmlinuz", "initrd"):
        command = f"dump /boot/{name} {directory / name}"
        argv = ["debugfs", "-R", command, f"{disk}?offset={PARTITION_OFFSET}"]
        subprocess.run(argv, check=True, capture_output=True)
        assert (directory / name).stat().st_size > 100_000
    disk.unlink()


def make_ova(path: Path, template: Path) -> None:
    """An appliance of two disks, as other products export them."""
    parts = path.parent / "ova"
    parts.mkdir()
    (parts / "box.ovf").write_text(OVF)
    options = ("-O", "vmdk", "-o", "subformat=streamOptimized")
    qemu_img("convert", *options, template, parts / "box-disk1.vmdk")
    make_text_image(parts / "box-disk2.img", "second disk", 4 << 20)
    with tarfile.open(path, "w") as archive:
        for name in ("box.ovf", "box-disk1.vmdk", "box-disk2.img"):
            archive.add(parts / name, arcname=name)


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """Serve *directory* on the loopback; gives the URL."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            del arguments

    handler = functools.partial(Quiet, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()

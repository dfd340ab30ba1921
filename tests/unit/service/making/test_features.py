"""What VMs ask for and a host lacks is told with its package."""

import pytest

from lago_sdk.errors import HostError
from lago_sdk.ports import Feature
from lago_sdk.service.making.features import check_features
from lago_sdk.spec.vm import Firmware, ShareSpec, VMSpec

ALL = {feature: f"package-{feature.name}" for feature in Feature}
EFI = VMSpec(name="a", firmware=Firmware.EFI)


@pytest.mark.parametrize(
    ("vm", "feature"),
    [
        (EFI, Feature.EFI),
        (VMSpec(name="a", firmware=Firmware.EFI, secure_boot=True), Feature.SECURE_BOOT),
        (VMSpec(name="a", tpm=True), Feature.TPM),
        (VMSpec(name="a", shares=(ShareSpec(source="/x", tag="x"),)), Feature.SHARES),
    ],
)
def test_what_is_missing_is_told_with_its_package(vm, feature):
    with pytest.raises(HostError, match=f"'a' asks for .*apt-get install package-{feature.name}"):
        check_features([vm], lambda: ALL)
    check_features([vm], lambda: {key: ALL[key] for key in ALL if key is not feature})


def test_nobody_looks_where_nothing_is_asked_for():
    def look():
        pytest.fail("nothing was asked for")

    check_features([VMSpec(name="a"), VMSpec(name="b", vm_provider="ssh", tpm=True)], look)

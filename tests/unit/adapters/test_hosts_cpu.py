"""KVM is used only where it works; libvirt's CPU models are read from its map."""

import pytest

from lago_sdk.adapters import cpu
from lago_sdk.config import AccelChoice
from lago_sdk.errors import HostError
from lago_sdk.plan.facts import Accel, CpuModel

CPUINFO = """\
processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: A: colon
flags\t\t: fpu svm sse2

processor\t: 1
vendor_id\t: GenuineIntel
flags\t\t: other
"""


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine whose /dev/kvm can be opened."""
    monkeypatch.setattr(cpu, "_KVM", tmp_path / "kvm")
    monkeypatch.setattr(cpu.platform, "machine", lambda: "x86_64")
    (tmp_path / "kvm").touch()

    def set_flags(*flags):
        facts = cpu.CpuFacts(vendor="Intel", flags=frozenset(flags))
        monkeypatch.setattr(cpu, "find_cpu_facts", lambda: facts)

    set_flags("fpu", "vmx")
    return set_flags


@pytest.mark.parametrize("flag", ["vmx", "svm"])
@pytest.mark.parametrize("choice", [AccelChoice.AUTO, AccelChoice.KVM])
def test_kvm_is_used_where_the_processor_can(machine, flag, choice):
    machine("fpu", flag)
    assert cpu.find_accel(choice)[0] is Accel.KVM


def test_an_openable_kvm_without_the_flag_is_not_enough(machine):
    machine("fpu")
    assert cpu.find_accel(AccelChoice.AUTO) == (
        Accel.TCG,
        "the processor has neither vmx nor svm",
    )
    with pytest.raises(HostError, match="neither vmx nor svm") as caught:
        cpu.find_accel(AccelChoice.KVM)
    assert "nesting" in caught.value.hint


def test_other_processors_have_no_such_flag(machine, monkeypatch):
    machine("fp")
    monkeypatch.setattr(cpu.platform, "machine", lambda: "aarch64")
    assert cpu.find_accel(AccelChoice.AUTO)[0] is Accel.KVM


def test_without_the_device_there_is_no_kvm(machine, tmp_path):
    (tmp_path / "kvm").unlink()
    accel, reason = cpu.find_accel(AccelChoice.AUTO)
    assert accel is Accel.TCG
    assert "does not exist" in reason


def test_a_device_that_cannot_be_opened_is_told(machine, tmp_path):
    (tmp_path / "kvm").unlink()
    (tmp_path / "kvm").mkdir()
    with pytest.raises(HostError, match="cannot be opened") as caught:
        cpu.find_accel(AccelChoice.KVM)
    assert "group kvm" in caught.value.hint


def test_tcg_is_never_replaced(machine):
    assert cpu.find_accel(AccelChoice.TCG) == (Accel.TCG, "asked for")


def test_the_first_processor_is_read():
    facts = cpu.parse_cpuinfo(CPUINFO)
    assert facts == cpu.CpuFacts(vendor="AMD", flags=frozenset({"fpu", "svm", "sse2"}))


def test_an_unknown_processor_is_generic():
    facts = cpu.parse_cpuinfo("processor : 0\nFeatures : fp asimd\n")
    assert facts == cpu.CpuFacts(vendor="generic", flags=frozenset({"fp", "asimd"}))
    assert cpu.parse_cpuinfo("").flags == frozenset()


@pytest.mark.parametrize(
    ("text", "model"),
    [
        (
            "<cpus><model name='Haswell'><vendor name='Intel'/></model></cpus>",
            CpuModel(name="Haswell", vendor="Intel"),
        ),
        ('<cpus><model name="qemu64"/></cpus>', CpuModel(name="qemu64", vendor="generic")),
        ("<cpus><vendor name='Intel' string='GenuineIntel'/></cpus>", None),
        ("<cpus><feature name='sse'/></cpus>", None),
    ],
)
def test_files_of_the_cpu_map_are_read(text, model):
    assert cpu.parse_cpu_model(text) == model


def test_the_map_of_this_machines_architecture_is_listed(monkeypatch, tmp_path):
    (tmp_path / "x86_b.xml").write_text("<model name='b'>")
    (tmp_path / "x86_a.xml").write_text("<model name='a'><vendor name='AMD'/>")
    (tmp_path / "arm_c.xml").write_text("<model name='c'>")
    monkeypatch.setattr(cpu, "_CPU_MAP", tmp_path)
    monkeypatch.setattr(cpu.platform, "machine", lambda: "x86_64")
    cpu.list_cpu_models.cache_clear()
    try:
        assert [model.name for model in cpu.list_cpu_models()] == ["a", "b"]
    finally:
        cpu.list_cpu_models.cache_clear()

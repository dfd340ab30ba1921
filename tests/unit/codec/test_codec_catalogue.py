"""Every problem there is, with its text and its place.

Each case is an init file and all that is said about it. ``test_no_problem_is_without_a_case``
fails when the code can say something that has no case here.
"""

import ast
from pathlib import Path

import pytest

import lago_sdk
from lago_sdk.codec import check_text

NETS = "nets: {lan: {management: true}, data: {}}\n"
VM = "domains:\n  web:\n    nics: [{net: lan}]\n"
DISKS = VM + "    disks:\n"
DISK = DISKS + "      - {type: template, template_name: tiny}\n"
OK = NETS + DISK


def case(code, text, *told):
    return pytest.param(code, text, told, id=f"{code}-{told[0].split()[1][:24]}")


def nets(text, *, rest=DISK):
    return "nets:\n  lan: {management: true}\n" + text + rest


def vm(text):
    return OK + text


def disk(text):
    return NETS + DISKS + text


def nic(text, *, nets=NETS):
    return (
        nets
        + f"domains:\n  web:\n    nics:\n      - {text}\n"
        + "    disks: [{type: empty, size: 1G}]\n"
    )


CASES = [
    # --- the text ---------------------------------------------------------------------------
    case(
        "empty-file",
        "",
        "1:1: error: the file is empty (it needs the sections 'nets' and 'domains')",
    ),
    case(
        "yaml-syntax",
        "nets:\n\tlan: {}\n",
        "2:1: error: a tab is used for indentation "
        "(indent with spaces: YAML does not allow tabs there)",
    ),
    case(
        "yaml-syntax",
        "nets:\n  lan: {}\n\tx: 1\n",
        "3:1: error: a tab is used for indentation "
        "(indent with spaces: YAML does not allow tabs there)",
    ),
    case(
        "yaml-syntax",
        "nets: lan: {}\n",
        "1:10: error: a second ':' in one line, or a line that is indented by mistake "
        "(quote the value if it contains ': ', or align the key with its siblings)",
    ),
    case(
        "yaml-syntax",
        "nets: [a, b\n",
        "1:7: error: a list that starts with '[' is not closed properly "
        "(look for a missing ',' or ']')",
    ),
    case(
        "yaml-syntax",
        "nets: {a: b\n",
        "1:7: error: a map that starts with '{' is not closed properly "
        "(look for a missing ',' or '}')",
    ),
    case("yaml-syntax", "nets: 'a\n", "1:7: error: a quote is not closed (add the closing quote)"),
    case(
        "yaml-syntax",
        "- a\nb: c\n",
        "2:1: error: a list item was expected here "
        "(start it with '- ', or indent the line less or more)",
    ),
    case(
        "yaml-syntax",
        "nets:\n  - a\n b: c\n",
        "3:2: error: this line does not fit the indentation of the lines above "
        "(align it with its siblings)",
    ),
    case(
        "yaml-syntax",
        'nets: "\\q"\n',
        "1:8: error: an unknown escape after a backslash in a double-quoted text "
        "(double the backslash, or use single quotes)",
    ),
    case(
        "yaml-syntax",
        "nets: @a\n",
        "1:7: error: a value cannot start with '@' (put the value in quotes)",
    ),
    case(
        "yaml-syntax",
        "nets:\n  a\x01\n",
        "2:4: error: a control character (U+0001) is in the text "
        "(remove it, or write it as an escape in double quotes)",
    ),
    case(
        "yaml-syntax",
        "a: 1\n---\nb: 1\n",
        "2:1: error: the file has more than one YAML document "
        "(keep one, and remove the line '---' between them)",
    ),
    case(
        "yaml-syntax",
        "{{ net }}: {}\n",
        "1:1: error: a list or map cannot be a key "
        "(quote it; '{{ … }}' looks like a Jinja template that was not rendered)",
    ),
    case(
        "yaml-syntax",
        "base: &base {}\nweb: *bas\n",
        "2:6: error: the alias '*bas' has no anchor (did you mean 'base'?)",
    ),
    case(
        "yaml-syntax",
        "a:\n  <<: 1\n",
        "2:7: error: the merge key '<<' takes a map or a list of maps (for example '<<: *base')",
    ),
    case(
        "too-deep",
        "a: " + "[" * 200 + "]" * 200,
        "1:103: error: nested more than 100 levels deep",
    ),
    case(
        "too-deep",
        vm("    metadata: " + "{'a': " * 99 + "1" + "}" * 99 + "\n"),
        "7:597: error: nested more than 100 levels deep",
    ),
    case(
        "yaml-syntax",
        nic("{net: lan, mac: 52:54:00:00:00:01}"),
        "5:27: error: a value with ':' needs quotes inside '{ }' and '[ ]' "
        "(for example {mac: '52:54:00:00:00:01'})",
    ),
    case("bad-alias", "a: &a [*a]\n", "1:8: error: the anchor '&a' contains itself"),
    case(
        "bad-tag",
        "a: !!python/object:os.system [x]\n",
        "1:4: error: the tag '!!python/object:os.system' is not understood "
        "(an init file is plain data: text, numbers, booleans, lists and maps)",
    ),
    case(
        "alias-bomb",
        "a0: &a0 [x, x]\n"
        + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
        + OK,
        "1:1: error: its aliases multiply to more than 2000000 values "
        "(use fewer aliases inside aliases)",
    ),
    case(
        "duplicate-key",
        vm("    memory: 1024\n    memory: 2048\n"),
        "8:5: warning: the key 'memory' is here twice; the one on line 7 has no effect "
        "[domains.web.memory] (keep one of them)",
    ),
    case(
        "duplicate-key",
        '{"nets": {"lan": {}},\n\t"nets": {"lan": {}}, "domains": {}}',
        "2:2: warning: the key 'nets' is here twice; the one on line 1 has no effect [nets] "
        "(keep one of them)",
    ),
    case(
        "json-syntax",
        '{"nets": {},\n "domains" {}}',
        "2:12: error: not valid JSON: expecting ':' delimiter",
    ),
    # --- the top ----------------------------------------------------------------------------
    case("not-a-map", "- a\n", "1:1: error: expected a map with 'nets' and 'domains', not a list"),
    case(
        "missing-section",
        "domain: {}\nnets: {lan: {}}\n",
        "1:1: error: the section 'domains' is missing (is 'domain' meant to be 'domains'?)",
    ),
    case(
        "missing-section",
        "domains: {}\n",
        "1:1: error: the section 'nets' is missing (add 'nets:' at the top level)",
    ),
    case(
        "wrong-type",
        "nets: [lan]\ndomains: {}\n",
        "1:1: error: expected a map of names, not a list [nets] "
        "(write 'nets:' and below it 'NAME:', indented)",
    ),
    case(
        "wrong-type",
        nets("  data: nat\n"),
        "3:9: error: expected a map, not 'nat' [nets.data]",
    ),
    # --- keys and values --------------------------------------------------------------------
    case(
        "unknown-key",
        vm("    memmory: 1\n"),
        "7:5: warning: unknown key 'memmory' [domains.web.memmory] (did you mean 'memory'?)",
    ),
    case(
        "unknown-key",
        disk("      - {type: empty, size: 1G, template_name: tiny}\n"),
        "6:33: warning: unknown key 'template_name' [domains.web.disks[0].template_name] "
        "(it belongs to disks of 'type: template')",
    ),
    case(
        "deprecated-key",
        vm("    service_class: SystemdService\n"),
        "7:5: warning: 'service_class' is an old spelling [domains.web.service_class] "
        "(write 'service_provider')",
    ),
    case(
        "deprecated-key",
        vm("    metadata:\n      ovirt-scripts: [a.sh]\n"),
        "8:7: warning: 'ovirt-scripts' is an old spelling [domains.web.metadata.ovirt-scripts] "
        "(write 'deploy-scripts')",
    ),
    case(
        "useless-key",
        vm("    url: x.ova\n"),
        "7:5: warning: 'url' does nothing without 'type: ova' [domains.web.url] "
        "(a disk's 'url' belongs into its entry of 'disks')",
    ),
    case(
        "useless-key",
        nets("  data: {type: bridge, dhcp: true}\n"),
        "3:24: warning: nobody runs a DHCP server on a net of 'type: bridge' [nets.data.dhcp] "
        "(remove the key, or take 'type: nat' or 'type: isolated')",
    ),
    case(
        "wrong-type",
        vm("    vcpu: two\n"),
        "7:11: error: expected a whole number, not 'two' [domains.web.vcpu]",
    ),
    case(
        "wrong-type",
        vm("    tpm: maybe\n"),
        "7:10: error: expected true or false, not 'maybe' [domains.web.tpm]",
    ),
    case(
        "wrong-type",
        vm("    memory: lots\n"),
        "7:13: error: expected a size, not 'lots' [domains.web.memory] (for example 512M or 10G)",
    ),
    case(
        "wrong-type",
        vm("    distro: [a]\n"),
        "7:5: error: expected text, not a list [domains.web.distro]",
    ),
    case(
        "wrong-type",
        vm("    shares: a\n"),
        "7:13: error: expected a list, not 'a' [domains.web.shares] (start each item with '- ')",
    ),
    case(
        "wrong-type",
        vm("    metadata: a\n"),
        "7:15: error: expected a map, not 'a' [domains.web.metadata]",
    ),
    case(
        "wrong-type",
        disk("      - tiny\n"),
        "6:9: error: expected a map, not 'tiny' [domains.web.disks[0]] "
        "(for example '- {type: empty, size: 10G}')",
    ),
    case(
        "wrong-type",
        disk("      - {type: empty, size: 1G, build: [update]}\n"),
        "6:41: error: expected a map with one key, the builder's name "
        "[domains.web.disks[0].build[0]] (for example 'virt-customize: {update: \"\"}')",
    ),
    case(
        "wrong-type",
        disk("      - {type: empty, size: 1G, build: [virt-customize: update]}\n"),
        "6:57: error: expected a map of options [domains.web.disks[0].build[0].virt-customize]",
    ),
    case(
        "bad-value",
        vm("    memory: 512KiB\n"),
        "7:13: error: '512KiB' is not a whole number of MiB [domains.web.memory] "
        "(for example 512 or 2GiB)",
    ),
    case(
        "bad-value",
        nets("  data: {subnet: 'fd00::/64'}\n"),
        "3:18: error: 'fd00::/64' is an IPv6 subnet [nets.data.subnet] "
        "(use the key 'subnet6' for it)",
    ),
    case(
        "bad-unit",
        disk("      - {type: empty, size: 10GB}\n"),
        "6:29: error: 'GB' is not a unit of sizes [domains.web.disks[0].size] "
        "(write K, M, G or T (or KiB, MiB, GiB, TiB): powers of 1024)",
    ),
    case(
        "bad-subnet",
        nets("  data: {subnet: 10.0.0.1/24}\n"),
        "3:18: error: '10.0.0.1/24' is an address with a prefix length, not a subnet "
        "[nets.data.subnet] (did you mean '10.0.0.0/24'?)",
    ),
    case(
        "bad-subnet",
        nets("  data: {subnet: 10.0.0.0}\n"),
        "3:18: error: '10.0.0.0' is not a subnet [nets.data.subnet] "
        "(write it in CIDR form, for example 10.10.0.0/24; or auto, or none)",
    ),
    case(
        "unknown-word",
        nets("  data: {type: nta}\n"),
        "3:16: error: 'nta' is not one of nat, bridge, isolated, routed [nets.data.type] "
        "(did you mean 'nat'?)",
    ),
    case(
        "unknown-word",
        vm("    firmware: uefi\n"),
        "7:15: error: 'uefi' is not one of bios, efi [domains.web.firmware] (did you mean 'efi'?)",
    ),
    case(
        "unknown-word",
        disk("      - {type: tmplate}\n"),
        "6:16: error: 'tmplate' is not a type of disks [domains.web.disks[0].type] "
        "(did you mean 'template'?)",
    ),
    case(
        "unknown-word",
        vm("    type: vm\n"),
        "7:11: error: 'vm' is not a type of domains [domains.web.type] "
        "(the only one is 'ova'; leave it out otherwise)",
    ),
    case(
        "missing-key",
        nic("{ip: 1.2.3.4}"),
        "5:9: error: the key 'net' is missing [domains.web.nics[0]] (for example 'net: lan')",
    ),
    case(
        "missing-key",
        disk("      - {type: empty}\n"),
        "6:9: error: the key 'size' is missing [domains.web.disks[0]] (for example 'size: 10G')",
    ),
    case(
        "missing-key",
        disk("      - {name: root}\n"),
        "6:9: error: the key 'type' is missing [domains.web.disks[0]] "
        "('type: template', 'type: empty' or 'type: file')",
    ),
    case(
        "missing-key",
        disk("      - {type: template}\n"),
        "6:9: error: a disk of 'type: template' needs 'template_name' [domains.web.disks[0]] "
        "(for example 'template_name: tiny')",
    ),
    case(
        "missing-key",
        disk("      - {type: template, template_type: qcow2}\n"),
        "6:9: error: 'template_type: qcow2' needs 'path', the backing file "
        "[domains.web.disks[0]] (for example 'path: base.qcow2')",
    ),
    case(
        "missing-key",
        disk("      - {type: file}\n"),
        "6:9: error: a disk of 'type: file' needs 'path' or 'url' [domains.web.disks[0]] "
        "(for example 'path: images/data.qcow2')",
    ),
    case(
        "missing-key",
        vm("    type: ova\n"),
        "3:3: error: the key 'url' is missing: 'type: ova' imports the archive it names "
        "[domains.web] (for example 'url: appliance.ova')",
    ),
    # --- prototypes -------------------------------------------------------------------------
    case(
        "unknown-prototype",
        vm("    based-on: bsae\nprototypes: {base: {}}\n"),
        "7:15: error: there is no prototype 'bsae' [domains.web.based-on] (did you mean 'base'?)",
    ),
    case(
        "unknown-prototype",
        vm("    based-on: base\n"),
        "7:15: error: there is no prototype 'base' [domains.web.based-on] "
        "(the file has no section 'prototypes')",
    ),
    case(
        "prototype-cycle",
        OK + "prototypes:\n  a: {based-on: b}\n  b: {based-on: c}\n  c: {based-on: a}\n",
        "10:17: error: the prototypes are based on each other in a circle: a -> b -> c -> a "
        "[prototypes.c.based-on] (take one 'based-on' out of the circle)",
    ),
    # --- names ------------------------------------------------------------------------------
    case(
        "bad-vm-name",
        OK.replace("web", "web server"),
        "3:3: error: the VM name 'web server' is no host name: only letters, digits, '-' and '.' "
        "are allowed, with a letter or digit at each end [domains.web server] "
        "(for example 'web-server')",
    ),
    case(
        "bad-vm-name",
        OK.replace("web", "w" * 64),
        f"3:3: error: the VM name '{'w' * 64}' is no host name: '{'w' * 64}' is longer than 63 "
        f"characters [domains.{'w' * 64}] (for example '{'w' * 63}')",
    ),
    case(
        "bad-vm-name",
        OK.replace("web", "10.0.0.1"),
        "3:3: error: the VM name '10.0.0.1' is no host name: it looks like an address "
        "[domains.10.0.0.1]",
    ),
    case(
        "odd-vm-name",
        OK.replace("web", "web_1"),
        "3:3: warning: the VM name 'web_1' has '_', which host names may not have "
        "[domains.web_1] (for example 'web-1')",
    ),
    case(
        "bad-net-name",
        nets("  my net: {}\n"),
        "3:3: error: the net name 'my net' cannot be used in DNS names: only letters, digits, "
        "'-', '_' and '.' are allowed [nets.my net] (for example 'my-net')",
    ),
    # --- nets -------------------------------------------------------------------------------
    case(
        "no-nets",
        "nets: {}\ndomains: {}\n",
        "1:1: error: there are no nets [nets] (add one: 'nets: {lan: {}}')",
    ),
    case(
        "bad-address",
        nets("  data: {gw: 10.0.0}\n"),
        "3:14: error: '10.0.0' is not an IPv4 address [nets.data.gw] (for example 192.168.210.1)",
    ),
    case(
        "bad-address",
        nets("  data: {}\n").replace("true}", "true, dns_records: {a.b: x}}"),
        "2:46: error: 'x' is not an IP address [nets.lan.dns_records.a.b]",
    ),
    case(
        "no-subnet",
        nets("  data: {subnet: none, gw: 10.0.0.1}\n"),
        "3:28: error: a gateway makes no sense on a net without IPv4 ('subnet: none') "
        "[nets.data.gw] (remove one of the two keys)",
    ),
    case(
        "no-subnet",
        nets("  data: {type: isolated, subnet: none, dhcp: true}\n"),
        "3:46: error: DHCP makes no sense on a net without addresses [nets.data.dhcp] "
        "(remove the key, or 'subnet: none')",
    ),
    case(
        "gw-outside",
        nets("  data: {subnet: 10.0.0.0/24, gw: 10.0.1.1}\n"),
        "3:35: error: the gateway 10.0.1.1 is outside the subnet 10.0.0.0/24 [nets.data.gw] "
        "(for example 10.0.0.1)",
    ),
    case(
        "gw-outside",
        nets("  data: {gw: 10.0.0.255}\n"),
        "3:14: error: the gateway 10.0.0.255 is the broadcast address of 10.0.0.0/24 "
        "[nets.data.gw] (for example 10.0.0.1)",
    ),
    case(
        "bad-dhcp-range",
        nets("  data: {dhcp: {start: 0, end: 300}}\n"),
        "3:24: error: 0 is no host number of the subnet [nets.data.dhcp.start] "
        "(host numbers are 1 to 254)",
        "3:32: error: 300 is no host number of the subnet [nets.data.dhcp.end] "
        "(host numbers are 1 to 254)",
    ),
    case(
        "bad-dhcp-range",
        nets("  data: {dhcp: {start: 200, end: 100}}\n"),
        "3:24: error: the DHCP range starts at 200, after its end at 100 [nets.data.dhcp.start] "
        "(swap them)",
    ),
    case(
        "bad-mtu",
        nets("  data: {mtu: 10}\n"),
        "3:15: error: an MTU of 10 is impossible [nets.data.mtu] (68 to 65535; 1500 is usual)",
    ),
    case(
        "small-mtu",
        nets("  data: {mtu: 1000}\n"),
        "3:15: warning: IPv6 does not work with an MTU below 1280 [nets.data.mtu] "
        "(raise it, or say 'subnet6: none')",
    ),
    case(
        "bad-bridge",
        nets("  data: {bridge: br0}\n"),
        "3:18: error: 'bridge' is for nets of 'type: bridge', and this one is 'nat' "
        "[nets.data.bridge] (add 'type: bridge')",
    ),
    case(
        "bad-bridge",
        nets("  data: {type: bridge, bridge: a/b}\n"),
        "3:32: error: 'a/b' cannot be the name of a bridge [nets.data.bridge] "
        "(at most 15 characters without spaces, '/' and ':')",
    ),
    case(
        "subnet-overlap",
        nets("  b: {subnet: 10.0.0.0/16}\n  a: {gw: 10.0.9.1}\n"),
        "4:11: error: the subnet 10.0.9.0/24 overlaps 10.0.0.0/16 of the net 'b' [nets.a.gw] "
        "(give them different subnets, or leave one out to be given a free one)",
    ),
    case(
        "subnet-overlap",
        nets("  a: {subnet6: 'fd00::/64'}\n  b: {subnet6: 'fd00::/48'}\n"),
        "4:16: error: the subnet fd00::/48 overlaps fd00::/64 of the net 'a' [nets.b.subnet6] "
        "(give them different subnets, or leave one out to be given a free one)",
    ),
    # --- management and DNS -----------------------------------------------------------------
    case(
        "two-management-nets",
        nic(
            "{net: lan}\n      - {net: wan}",
            nets="nets: {lan: {management: 1}, wan: {management: 1}}\n",
        ),
        "6:15: error: the VM 'web' is on 2 management nets: lan, wan [domains.web.nics[1].net] "
        "(leave it on one of them)",
    ),
    case(
        "no-management-net",
        nic("{net: data}"),
        "4:5: error: the VM 'web' is on no management net [domains.web.nics] "
        "(add a nic on 'lan', or mark one of its nets 'management: true')",
    ),
    case(
        "implied-management",
        "nets: {lan: {management: false}}\n" + DISK,
        "1:26: warning: 'lan' is the management net all the same: no net is marked, so the first "
        "by name is taken [nets.lan.management] (mark one: 'management: true')",
    ),
    case(
        "dns-off-management",
        nets("  data: {dns_domain_name: a.test}\n"),
        "3:27: error: 'dns_domain_name' is for management nets only, and 'data' is none "
        "[nets.data.dns_domain_name] (mark the net 'management: true' or remove the key)",
    ),
    case(
        "useless-dns-records",
        nets("  data: {dns_records: {a.test: 10.0.0.1}}\n"),
        "3:10: warning: nobody answers these records: 'data' is not a management net "
        "[nets.data.dns_records] (move them to a management net)",
    ),
    case(
        "two-main-dns",
        "nets:\n  lan: {management: true, main_dns: true}\n"
        "  wan: {management: true, main_dns: true}\n" + DISK,
        "3:37: error: 'lan' and 'wan' both say 'main_dns: true' [nets.wan.main_dns] "
        "(keep one of them)",
    ),
    case(
        "bad-dns-name",
        "nets: {lan: {dns_domain_name: a_b.test}}\n" + DISK,
        "1:31: error: 'a_b.test' is no DNS domain: host names may not have '_' "
        "[nets.lan.dns_domain_name] (for example 'lab.test')",
    ),
    # --- nics -------------------------------------------------------------------------------
    case(
        "no-nics",
        NETS + "domains:\n  web: {disks: [{type: empty, size: 1G}]}\n",
        "3:3: warning: the VM 'web' has no nics, so nothing can reach it [domains.web.nics] "
        "(add 'nics: [{net: NAME}]')",
    ),
    case(
        "unknown-net",
        nic("{net: lna}"),
        "5:15: error: there is no net 'lna' [domains.web.nics[0].net] (did you mean 'lan'?)",
    ),
    case(
        "bad-mac",
        nic("{net: lan, mac: '52:54'}"),
        "5:25: error: '52:54' is not a MAC address [domains.web.nics[0].mac] "
        "(six pairs of hex digits, for example 52:54:00:00:00:01)",
    ),
    case(
        "bad-mac",
        nic("{net: lan, mac: '53:54:00:00:00:01'}"),
        "5:25: error: '53:54:00:00:00:01' is a multicast address, which no card can have "
        "[domains.web.nics[0].mac] (the first pair must be even, for example 52:54:00:00:00:01)",
    ),
    case(
        "bad-mac",
        nic("{net: lan, mac: '00:00:00:00:00:00'}"),
        "5:25: error: a MAC address of zeros is none [domains.web.nics[0].mac] "
        "(leave the key out to get one)",
    ),
    case(
        "duplicate-mac",
        nic("{net: lan, mac: '52:54:00:00:00:0A'}\n      - {net: lan, mac: 52-54-00-00-00-0a}"),
        "6:25: error: the MAC address 52:54:00:00:00:0a is that of a nic of 'web' already "
        "[domains.web.nics[1].mac] (leave the key out to get one)",
    ),
    case(
        "bad-address",
        nic("{net: lan, ip: 'fd00::1'}"),
        "5:24: error: 'fd00::1' is not an IPv4 address [domains.web.nics[0].ip] "
        "(write IPv6 addresses under the key 'ip6')",
    ),
    case(
        "bad-address",
        nic("{net: lan, ip: 1.2.3.400}"),
        "5:24: error: '1.2.3.400' is not an IPv4 address [domains.web.nics[0].ip] "
        "(the last octet is what counts: 2 to 254)",
    ),
    case(
        "bad-address",
        nic("{net: lan, ip6: 10.0.0.1}"),
        "5:25: error: '10.0.0.1' is not an IPv6 address [domains.web.nics[0].ip6] "
        "(write IPv4 addresses under the key 'ip')",
    ),
    case(
        "address-outside",
        nic("{net: lan, ip: 10.0.1.4}", nets="nets: {lan: {subnet: 10.0.0.0/24}}\n"),
        "5:24: error: the address 10.0.1.4 is outside 10.0.0.0/24, the subnet of 'lan' "
        "[domains.web.nics[0].ip] (for example 10.0.0.10)",
    ),
    case(
        "address-outside",
        nic("{net: lan, ip: 0.0.0.255}"),
        "5:24: error: 0.0.0.255 is the network or broadcast address of the net 'lan' "
        "[domains.web.nics[0].ip] (the last octet is what counts: 2 to 254)",
    ),
    case(
        "address-outside",
        nic("{net: lan, ip: 10.0.0.0}", nets="nets: {lan: {subnet: 10.0.0.0/24}}\n"),
        "5:24: error: 10.0.0.0 is the network or broadcast address of the net 'lan' "
        "[domains.web.nics[0].ip] (for example 10.0.0.10)",
    ),
    case(
        "address-outside",
        nic("{net: lan, ip6: 'fd01::1'}", nets="nets: {lan: {subnet6: 'fd00::/64'}}\n"),
        "5:25: error: the address fd01::1 is outside fd00::/64, the subnet6 of 'lan' "
        "[domains.web.nics[0].ip6] (for example fd00::4)",
    ),
    case(
        "no-subnet",
        nic("{net: lan, ip: 10.0.1.4}", nets="nets: {lan: {subnet: none}}\n"),
        "5:24: error: the net 'lan' has no IPv4 addresses ('subnet: none') "
        "[domains.web.nics[0].ip] (remove the key 'ip')",
    ),
    case(
        "no-subnet",
        nic("{net: lan, ip6: 'fd00::4'}", nets="nets: {lan: {subnet6: none}}\n"),
        "5:25: error: the net 'lan' has no IPv6 addresses [domains.web.nics[0].ip6] "
        "(give it a 'subnet6', for example fd00::/64)",
    ),
    case(
        "duplicate-address",
        nic("{net: lan, ip: 300.300.300.17}\n      - {net: lan, ip: 0.0.0.17}"),
        "6:24: error: the address 0.0.0.17 is that of 'web' already [domains.web.nics[1].ip] "
        "(choose another, or leave the key out to get a free one)",
    ),
    case(
        "duplicate-address",
        nic("{net: lan, ip: 10.0.0.4}", nets="nets: {lan: {gw: 10.0.0.4}}\n"),
        "5:24: error: the address 10.0.0.4 is that of the gateway already "
        "[domains.web.nics[0].ip] (choose another, or leave the key out to get a free one)",
    ),
    case(
        "duplicate-address",
        nic(
            "{net: lan, ip6: 'fd00::4'}\n      - {net: lan, ip6: 'fd00:0::4'}",
            nets="nets: {lan: {subnet6: 'fd00::/64'}}\n",
        ),
        "6:25: error: the address fd00::4 is that of 'web' already [domains.web.nics[1].ip6] "
        "(choose another)",
    ),
    case(
        "addresses-exhausted",
        "nets: {lan: {subnet: 10.0.0.0/30}}\n"
        "domains:\n  web: &web\n    nics: [{net: lan}]\n    disks: [{type: empty, size: 1G}]\n"
        "  db: *web\n",
        "1:22: error: 2 nics are on the net 'lan', and 10.0.0.0/30 has room for 1 beside the "
        "gateway [nets.lan.subnet] (give it a larger 'subnet', for example 10.0.0.0/29)",
    ),
    # --- VMs --------------------------------------------------------------------------------
    case(
        "bad-size",
        vm("    memory: 0\n"),
        "7:13: error: a VM cannot run with 0 MiB of memory [domains.web.memory] "
        "(for example 1024 or 2GiB)",
    ),
    case(
        "bad-size",
        vm("    memory: 33554432\n"),
        "7:13: error: 32 TiB of memory is more than any host has [domains.web.memory] "
        "(a bare number is MiB; write '2GiB' to be sure)",
    ),
    case(
        "huge-size",
        vm("    memory: 2097152\n"),
        "7:13: warning: 2048 GiB of memory is a lot for one VM [domains.web.memory] "
        "(a bare number is MiB; write '2GiB' to be sure)",
    ),
    case(
        "bad-size",
        vm("    vcpu: -1\n"),
        "7:11: error: a VM cannot have -1 virtual CPUs [domains.web.vcpu] (1 to 1024)",
    ),
    case(
        "bad-size",
        vm("    memory: 128\n    max-memory: 64\n"),
        "8:17: error: a VM of 128 MiB of memory cannot have 64 MiB at most "
        "[domains.web.max-memory] (128 MiB or more)",
    ),
    case(
        "bad-size",
        vm("    boot_time_sec: 0\n"),
        "7:20: error: no VM boots in 0 seconds [domains.web.boot_time_sec] (600 is the default)",
    ),
    case(
        "cpu-model-and-custom",
        vm("    cpu_model: Westmere\n    cpu_custom: {a: b}\n"),
        "8:5: error: 'cpu_model' and 'cpu_custom' exclude each other [domains.web.cpu_custom] "
        "(remove one of them)",
    ),
    case(
        "secure-boot-without-efi",
        vm("    secure-boot: true\n"),
        "7:18: error: Secure Boot needs EFI firmware [domains.web.secure-boot] "
        "(add 'firmware: efi')",
    ),
    case(
        "missing-kernel",
        vm("    initrd: initrd.img\n"),
        "7:13: error: 'initrd' does nothing without 'kernel' [domains.web.initrd] "
        "(add 'kernel: PATH', or remove the key)",
    ),
    case(
        "unknown-choice",
        vm("    vm-provider: local-libvrt\n"),
        "7:18: warning: 'local-libvrt' is no vm-provider that comes with the library "
        "[domains.web.vm-provider] (did you mean 'local-libvirt'?)",
    ),
    case(
        "graphics-without-video",
        vm("    video: none\n    graphics: vnc\n"),
        "8:15: error: there is no display to serve: 'video' is 'none' [domains.web.graphics] "
        "(remove 'video: none')",
    ),
    case(
        "bad-port",
        vm("    ssh-port: 65536\n"),
        "7:15: error: 65536 is no TCP port [domains.web.ssh-port] (1 to 65535)",
    ),
    case(
        "no-address",
        vm("    vm-provider: ssh\n"),
        "7:18: warning: nothing says where the machine 'web' is [domains.web.vm-provider] "
        "(add 'ssh-host: ADDRESS')",
    ),
    case(
        "bad-share",
        vm(f"    shares: [{{source: '', tag: {'t' * 37}}}]\n"),
        "7:23: error: the directory is empty [domains.web.shares[0].source]",
        f"7:32: error: '{'t' * 37}' cannot be a virtiofs tag [domains.web.shares[0].tag] "
        "(1 to 36 bytes)",
    ),
    case(
        "duplicate-tag",
        vm("    shares: [{source: a, tag: t}, {source: b, tag: t}]\n"),
        "7:52: error: two shares have the tag 't' [domains.web.shares[1].tag] (rename one)",
    ),
    case(
        "duplicate-boot",
        vm("    boot: [hd, hd]\n"),
        "7:5: error: 'hd' is in the boot order 2 times [domains.web.boot] (keep one)",
    ),
    case(
        "relative-artifact",
        vm("    artifacts: [var/log]\n"),
        "7:17: warning: 'var/log' is not an absolute path in the guest "
        "[domains.web.artifacts[0]] (did you mean '/var/log'?)",
    ),
    case(
        "odd-user-data",
        vm("    user-data: hello\n"),
        "7:16: warning: cloud-init ignores user data that does not start with '#' "
        "[domains.web.user-data] (start it with '#cloud-config' or '#!/bin/sh', or write a map)",
    ),
    case(
        "bad-xml",
        vm("    xml: <a><b></a>\n"),
        "7:10: error: not well-formed XML: mismatched tag at line 1, column 9 of the value "
        "[domains.web.xml] (elements for <devices>, or one <domain> element)",
    ),
    # --- disks ------------------------------------------------------------------------------
    case(
        "no-disks",
        NETS + VM,
        "3:3: warning: the VM 'web' has no disks, so it has nothing to boot from "
        "[domains.web.disks] (add 'disks: [{type: template, template_name: NAME}]')",
    ),
    case(
        "duplicate-disk-name",
        disk(
            "      - {type: empty, size: 1G, name: a}\n      - {type: empty, size: 1G, name: a}\n"
        ),
        "7:39: error: disk 0 of the VM is called 'a' as well [domains.web.disks[1].name] "
        "(rename one)",
    ),
    case(
        "bad-disk-name",
        disk("      - {type: empty, size: 1G, name: a/b}\n"),
        "6:39: error: 'a/b' cannot be a disk's name: it becomes part of a file name "
        "[domains.web.disks[0].name] (letters, digits, '-', '_' and '.')",
    ),
    case(
        "bad-dev",
        disk("      - {type: empty, size: 1G, dev: /dev/vda}\n"),
        "6:38: error: '/dev/vda' is not a device name [domains.web.disks[0].dev] "
        "(vda (virtio), sda (virtio-scsi) or hda (IDE), and so on)",
    ),
    case(
        "duplicate-dev",
        disk(
            "      - {type: empty, size: 1G, dev: vda}\n      - {type: empty, size: 1G, dev: vda}\n"
        ),
        "7:38: error: disk 0 of the VM is 'vda' as well [domains.web.disks[1].dev] "
        "(change one, or leave the key out to get the next free one)",
    ),
    case(
        "odd-bus",
        disk("      - {type: empty, size: 1G, dev: vda, bus: scsi}\n"),
        "6:48: warning: guests would not call a disk on 'scsi' 'vda' [domains.web.disks[0].bus] "
        "(leave out 'bus' or 'dev')",
    ),
    case(
        "empty-iso",
        disk("      - {type: empty, size: 1G, format: iso}\n"),
        "6:41: error: an empty disk cannot be an ISO image [domains.web.disks[0].format] "
        "(qcow2 or raw)",
    ),
    case(
        "bad-size",
        disk("      - {type: empty, size: -1G}\n"),
        "6:29: error: a disk cannot have -1073741824 bytes [domains.web.disks[0].size] "
        "(for example 10G)",
    ),
    case(
        "bad-size",
        disk("      - {type: empty, size: 9E}\n"),
        "6:29: error: 9437184 TiB is more than a disk can have [domains.web.disks[0].size] "
        "(for example 10G)",
    ),
    case(
        "tiny-size",
        disk("      - {type: empty, size: 10}\n"),
        "6:29: warning: a disk of 10 bytes is of little use [domains.web.disks[0].size] "
        "(a bare number is bytes; write '10G' for GiB)",
    ),
    case(
        "unknown-builder",
        disk("      - {type: empty, size: 1G, build: [virt-sysprep: {}]}\n"),
        "6:41: error: there is no builder 'virt-sysprep' "
        "[domains.web.disks[0].build[0].virt-sysprep] (there is virt-customize)",
    ),
]

ELSEWHERE = {
    "no-file": "test_codec_load.py",
    "not-utf8": "test_codec_load.py",
    "missing-file": "test_codec_load.py",
    "duplicate-name": "test_spec_checks.py",
    "bad-name": "test_recipes.py",
    "name-taken": "test_recipes.py",
    "not-for-base": "test_recipes.py",
}
"""Problems that no text alone can have."""


@pytest.mark.parametrize(("code", "text", "told"), CASES)
def test_a_problem_says_what_is_wrong_and_where(code, text, told):
    spec, problems = check_text(text)
    assert [str(problem) for problem in problems] == list(told)
    assert {problem.code for problem in problems} == {code}
    assert (spec is None) == any(problem.is_error for problem in problems)


def test_a_sound_file_has_no_problems():
    assert check_text(OK)[1] == ()


def test_no_problem_is_without_a_case():
    source = Path(lago_sdk.__file__).parent
    modules = [*(source / "codec").rglob("*.py"), *(source / "spec").rglob("*.py")]
    said = {code for module in modules for code in find_codes(ast.parse(module.read_text()))}
    assert said - {"invalid"} == {case.values[0] for case in CASES} | set(ELSEWHERE)


def find_codes(tree):
    """Codes that a module names: ``code="…"`` in calls, and defaults of such parameters."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "code":
            yield from (x.value for x in ast.walk(node.value) if isinstance(x, ast.Constant))
        if isinstance(node, ast.arguments):
            pairs = zip(node.kwonlyargs, node.kw_defaults, strict=True)
            yield from (
                default.value
                for argument, default in pairs
                if argument.arg == "code" and isinstance(default, ast.Constant)
            )

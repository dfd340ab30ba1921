# Shared by the scripts beside it: which Debian packages are needed, and how to get them, a
# virtual environment and a usable /dev/net/tun. Source it with ROOT set to the checkout.
# shellcheck shell=bash

# What runs VMs.
readonly HOST_PACKAGES=(
    libvirt-daemon libvirt-daemon-driver-qemu libvirt-daemon-system
    qemu-system-x86 qemu-utils
    dnsmasq-base e2fsprogs fdisk fuse3 iproute2 iptables uidmap
)
# What templates are built with.
readonly TEMPLATE_PACKAGES=(
    cpio dpkg e2fsprogs fdisk grub-common grub-pc-bin kmod zstd
)
# What the package itself is installed with. Debian's own libvirt binding spares us a compiler.
readonly PYTHON_PACKAGES=(python3 python3-libvirt python3-venv)
# What the binding is built with for another Python than Debian's.
readonly BUILD_PACKAGES=(gcc libc6-dev libvirt-dev pkg-config)
# What only tests use.
readonly TEST_PACKAGES=(
    acl btrfs-progs cryptsetup-bin dropbear-bin gnupg libguestfs-tools libguestfs-xfs
    libvirt-clients linux-image-cloud-amd64 mmdebstrap openssh-client openssh-server openssl ovmf
    rsync swtpm swtpm-tools tcpdump tshark xfsprogs xz-utils
)

say() { printf '%s\n' "$*" >&2; }

die() {
    say "${0##*/}: $*"
    exit 2
}

is_root() { [[ $EUID -eq 0 ]]; }

# Prints those of the packages given that are not installed.
missing_packages() {
    local package
    for package; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
            printf '%s\n' "$package"
    done
}

# Installs what is missing of the packages given; an ordinary user is told how.
ensure_packages() {
    local missing
    command -v dpkg-query >/dev/null ||
        die "this machine is no Debian; install what these Debian packages hold: $*"
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]})) || return 0
    is_root ||
        die "Debian packages are missing; install them first:" \
            "sudo apt-get install --no-install-recommends ${missing[*]}"
    say "installing: ${missing[*]}"
    has_package_lists || quiet_apt update
    quiet_apt install --yes --no-install-recommends "${missing[@]}" && return
    say "the lists of packages may be old: fetching them"
    quiet_apt update &&
        quiet_apt install --yes --no-install-recommends "${missing[@]}" ||
        die "apt-get could not install: ${missing[*]}"
}

# apt-get that speaks only where it fails.
quiet_apt() {
    local log code=0
    log=$(mktemp)
    DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" </dev/null >"$log" 2>&1 || code=$?
    ((code == 0)) || tail -n 20 "$log" >&2
    rm -f "$log"
    return "$code"
}

has_package_lists() { compgen -G '/var/lib/apt/lists/*Packages*' >/dev/null; }

# Templates are built from packages that apt fetches.
ensure_package_lists() {
    has_package_lists && return
    is_root || die "apt has no lists of packages; fetch them first: sudo apt-get update"
    quiet_apt update
}

# QEMU's network cards are opened through it; udev makes it 0666, a bare machine may not.
ensure_tun() {
    if ! is_root; then
        [[ -w /dev/net/tun ]] ||
            die "/dev/net/tun cannot be used; run: sudo chmod 0666 /dev/net/tun"
        return
    fi
    if [[ ! -c /dev/net/tun ]]; then
        mkdir -p /dev/net
        mknod /dev/net/tun c 10 200
    fi
    [[ $(stat -c %a /dev/net/tun) == 666 ]] || chmod 0666 /dev/net/tun
}

# Prints the Python to use: $PYTHON, else Debian's, else the first on PATH that is new enough.
find_python() {
    local python
    for python in ${PYTHON:+"$PYTHON"} /usr/bin/python3 python3; do
        # Asked for its own path: what PATH has may be a shim.
        "$python" -c 'import os, sys
if sys.version_info < (3, 11): sys.exit(1)
print(os.path.realpath(sys.executable))' 2>/dev/null && return
    done
    die "Python 3.11 or newer is needed; name one in PYTHON"
}

# Prints a line that changes whenever the package or what it needs does.
fingerprint() {
    (
        cd "$ROOT"
        {
            "$1" -c 'import sys; print(sys.version, sys.prefix)'
            find src pyproject.toml README.md scripts/lib.sh -type f ! -name '*.pyc' -print0 |
                LC_ALL=C sort -z | xargs -0 cat
        } | sha256sum
    )
}

# ensure_venv DIRECTORY [EXTRA]: the package, with the extra, in a virtual environment; quick when
# nothing has changed. Not editable, so that other users can use it wherever the checkout lies.
ensure_venv() {
    local directory=$1 extra=${2:+[$2]} python wanted
    python=$(find_python)
    wanted="$(fingerprint "$python") $extra"
    [[ -x $directory/bin/lagoctl && $(cat "$directory/.fingerprint" 2>/dev/null) == "$wanted" ]] &&
        return
    say "installing the Python package into $directory"
    rm -f "$directory/.fingerprint"
    # Of another Python, or cut off while it was made: not worth mending.
    [[ $(readlink -f "$directory/bin/python" 2>/dev/null) == "$python" &&
        -x $directory/bin/pip ]] || rm -rf "$directory"
    [[ -d $directory ]] || "$python" -m venv "$directory" ||
        die "$python cannot make virtual environments: is its venv module installed?"
    borrow_libvirt "$directory"
    "$directory/bin/pip" install -qq --disable-pip-version-check "$ROOT$extra" ||
        die "pip could not install the package; what it said stands above"
    printf '%s\n' "$wanted" >"$directory/.fingerprint"
}

# Debian's libvirt binding, for Debian's Python; any other Python has it built by pip.
borrow_libvirt() {
    local site packages=/usr/lib/python3/dist-packages
    if [[ $(readlink -f "$1/bin/python") != /usr/bin/python3* ]]; then
        ensure_packages "${BUILD_PACKAGES[@]}"
        return
    fi
    site=$("$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
    ln -sfn "$packages"/libvirt*.py "$packages"/libvirtmod*.so \
        "$packages"/libvirt_python-*.egg-info "$site/"
}

# has_template PYTHON NAME: whether the store has it.
has_template() {
    "$1" -c 'import sys, lago_sdk
sys.exit(sys.argv[1] not in {template.name for template in lago_sdk.list_templates()})' "$2"
}

#!/bin/sh
# Two containers, and nothing is downloaded: "web" is busybox alone, "whole" a systemd that has
# the guest's own root file system under an overlay.
set -e
image=$(mktemp -d)
mkdir "$image/bin"
cp /bin/busybox "$image/bin/busybox"
ln -s busybox "$image/bin/sleep"
tar -C "$image" -c . | podman import - busybox
podman create --name web --network none busybox /bin/sleep 1000000
mkdir -p /mnt/root
mount --bind / /mnt/root
podman create --name whole --network none --systemd=always --rootfs /mnt/root:O /lib/systemd/systemd

#!/bin/bash
# Builds the Debian root that lab nodes share, unless it is there, and prints
# its folder. It is a script so that `make up` can run it beside the compiler;
# package lab embeds it.
#
#   root.sh CACHE-FOLDER [PACKAGE…]
set -eu -o pipefail
export LC_ALL=C

recipe=3 # grows when anything below changes what is built
suite=trixie
packages="systemd systemd-sysv dbus iproute2 nftables podman crun netavark aardvark-dns
	ca-certificates curl procps bash-completion bind9-dnsutils systemd-resolved
	redis-server haproxy"
# Services that have nothing to do on a lab node, or cannot do it; resolved is for tests to
# unmask. What redis and haproxy do there the cluster says (examples/shop).
masked="systemd-resolved.service redis-server.service haproxy.service systemd-modules-load.service netavark-dhcp-proxy.service netavark-dhcp-proxy.socket ldconfig.service
	systemd-journal-catalog-update.service systemd-firstboot.service systemd-update-done.service
	getty@.service console-getty.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer
	e2scrub_all.timer fstrim.timer"

cache=$1; shift
list=$(printf '%s\n' $packages "$@" | sort -u | paste -sd,)
key=$(printf '%s\n' "$recipe" "$suite" "$list" $masked | sha256sum | cut -c1-12)
root=$cache/root-$key
if [ -d "$root" ]; then echo "$root"; exit; fi

# One builder at a time; the others find the root when they get here.
mkdir -p "$cache"
exec 9>"$root.lock"
flock -n 9 || { echo "waiting for another build of the nodes' root" >&2; flock 9; }
if [ -d "$root" ]; then echo "$root"; exit; fi

echo "building the Debian root of the nodes (once; about half a minute)" >&2
begin=$SECONDS
half=$root.half # renamed when it is whole
# A builder that was killed may have left mounts in it.
awk -v half="$half/" 'index($5, half) == 1 { print $5 }' /proc/self/mountinfo | tac |
	while read -r mount; do umount -l "$mount"; done
rm -rf --one-file-system "$half"
trap 'rm -rf --one-file-system "$half"' EXIT # of no use when anything below goes wrong
mmdebstrap --variant=minbase --include="$list" \
	--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
	--dpkgopt='path-exclude=/usr/share/locale/*' "$suite" "$half" 2>&1 >/dev/null </dev/null |
	sed -un 's/^I: \(running\|downloading\|extracting\|installing\)/  \1/p; /^E: /p' >&2
for unit in $masked; do ln -sf /dev/null "$half/etc/systemd/system/$unit"; done
# As it is without resolved, which has made a link of it.
rm -f "$half/etc/resolv.conf"; : >"$half/etc/resolv.conf"
# Logs in memory, and bounded: a node's disk is for its state.
mkdir -p "$half/etc/systemd/journald.conf.d" "$half/etc/containers"
printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=64M\nRateLimitBurst=0\n' >"$half/etc/systemd/journald.conf.d/lab.conf"
# Without controllers of version 2, podman cannot limit processes.
printf '[containers]\npids_limit = 0\n' >"$half/etc/containers/containers.conf"
mv "$half" "$root"
trap - EXIT
echo "root built after $((SECONDS - begin)) s" >&2
echo "$root"

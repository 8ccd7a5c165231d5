#!/bin/bash
# Says what is missing for a make target, all of it at once, and installs what
# Debian has of it.
#   require.sh root go lab
# OS_RELEASE names another file than /etc/os-release.
set -eu
want_go=$(sed -n 's/^go //p' "$(dirname "$0")/../go.mod")
complaints=0
complain() { echo "argosy: $1" >&2; echo "hint: $2" >&2; complaints=$((complaints + 1)); }
debian() {
	command -v apt-get >/dev/null &&
		sed -n 's/^ID\(_LIKE\)\?=//p' "${OS_RELEASE:-/etc/os-release}" 2>/dev/null | tr -d '"' | tr ' ' '\n' | grep -qx debian
}

# The tools of a lab, and the Debian packages that they are in.
tools='systemd-nspawn=systemd-container mmdebstrap=mmdebstrap nft=nftables mkfs.ext4=e2fsprogs nsenter=util-linux'
missing=
check_lab() {
	missing=
	for tool in $tools; do command -v "${tool%=*}" >/dev/null || missing+=" ${tool#*=}"; done
}

for what in "$@"; do
	case $what in
	root)
		[ "$(id -u)" = 0 ] || complain "this makes namespaces and mounts, which takes root" "run make as root" ;;
	go)
		if ! command -v go >/dev/null; then
			complain "Go is missing" "install Go $want_go or later"
			continue
		fi
		have=$(go env GOVERSION | sed 's/^go//')
		[ "$(printf '%s\n' "$want_go" "$have" | sort -V | head -n 1)" = "$want_go" ] ||
			complain "Go $have is too old" "install Go $want_go or later" ;;
	lab) check_lab ;;
	esac
done

if [ -n "$missing" ]; then
	if ! debian; then
		complain "missing packages:$missing" "this is not Debian: install by its own means what these names of Debian's stand for"
	elif [ "$(id -u)" != 0 ] || [ $complaints != 0 ]; then
		complain "missing packages:$missing" "make installs them by itself as root, or: apt-get install$missing"
	fi
fi
[ $complaints = 0 ] || exit 1
[ -n "$missing" ] || exit 0

echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # a list of packages
apt-get install -qq -y --no-install-recommends $missing >/dev/null
check_lab
[ -z "$missing" ] || { complain "still missing after they were installed:$missing" "is their folder in PATH?"; exit 1; }

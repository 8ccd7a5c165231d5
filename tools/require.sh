#!/bin/bash
# Says what is missing for a make target, and installs it on Debian.
#   require.sh root go lab
set -eu
want_go=$(sed -n 's/^go //p' "$(dirname "$0")/../go.mod")
fail() { echo "argosy: $1" >&2; [ -z "${2:-}" ] || echo "hint: $2" >&2; exit 1; }

for what in "$@"; do
	case $what in
	root)
		[ "$(id -u)" = 0 ] || fail "this makes namespaces and mounts, which takes root" "run make as root" ;;
	go)
		command -v go >/dev/null || fail "Go is missing" "install Go $want_go or later"
		have=$(go env GOVERSION | sed 's/^go//')
		[ "$(printf '%s\n' "$want_go" "$have" | sort -V | head -n 1)" = "$want_go" ] ||
			fail "Go $have is too old" "install Go $want_go or later" ;;
	lab)
		declare -A packages=([systemd-nspawn]=systemd-container [mmdebstrap]=mmdebstrap [nft]=nftables [mkfs.ext4]=e2fsprogs [nsenter]=util-linux)
		missing=
		for tool in "${!packages[@]}"; do command -v "$tool" >/dev/null || missing+=" ${packages[$tool]}"; done
		[ -z "$missing" ] && continue
		command -v apt-get >/dev/null || fail "missing:$missing" "this is not Debian: install them by its own means"
		echo "installing$missing"
		export DEBIAN_FRONTEND=noninteractive
		apt-get update -qq
		# shellcheck disable=SC2086 # a list of packages
		apt-get install -qq -y --no-install-recommends $missing >/dev/null ;;
	esac
done

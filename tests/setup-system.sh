#!/bin/sh
# Installs what the tests use of Debian: kcat, a Kafka client that has nothing in common with ours.
# Quick when it is there already. Without root or apt-get it says what to install and fails.
set -eu

missing=
command -v kcat >/dev/null || missing="kcat"
[ -z "$missing" ] && exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "the tests want $missing, and only root with apt-get can install it here;" \
        "please do: sudo apt-get install $missing (macOS: brew install $missing)" >&2
    exit 1
fi

install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# the package lists are fetched only where those at hand do not lead to the package
{ install || { apt-get update -qq && install; }; } >"$log" 2>&1 || {
    echo "installing $missing failed:" >&2
    tail -n 20 "$log" >&2
    exit 1
}

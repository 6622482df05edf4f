#!/bin/sh
# Installs what the tests use of Debian: kcat, a Kafka client that has nothing in common with ours;
# GStreamer's RTSP server, which plays the cameras (220 MB with all that it wants, 40 s);
# strace, which shows what the commands reach and write;
# Chromium without a window and its driver, which look at the live page (300 MB);
# Prometheus, as a program: its service is masked, so that it does not begin to serve.
# Quick when it is there already. Without root or apt-get it says what to install and fails.
set -eu

missing=
want() { missing="${missing:+$missing }$1"; }
command -v kcat >/dev/null || want kcat
/usr/bin/python3 -c 'import gi; gi.require_version("GstRtspServer", "1.0"); from gi.repository import Gst
Gst.init(None); Gst.ElementFactory.find("x264enc") or exit(1)' 2>/dev/null ||
    want "gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-ugly"
command -v promtool >/dev/null || want prometheus
command -v strace >/dev/null || want strace
{ command -v chromium && command -v chromedriver; } >/dev/null || want "chromium chromium-driver"
[ -z "$missing" ] && exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "the tests want $missing, and only root with apt-get can install it here;" \
        "please do: sudo apt-get install $missing (macOS: brew install kcat)" >&2
    exit 1
fi

install() {
    case "$missing" in *prometheus*) systemctl --quiet mask prometheus.service || true ;; esac
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

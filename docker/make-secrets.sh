#!/bin/sh
# Makes the secret files that fourthring.toml needs and that are missing; those that are there stay as they are.
#
#   docker/make-secrets.sh [TOML [FOLDER]]     default: docker/fourthring.toml, /etc/fourthring/secrets
#
# The folder is outside the checkout, so that no secret gets into a commit, a wheel or an image.
# Run as root, so that the containers' user (10001) and nobody else can read them.
set -eu

here=$(dirname "$0")
toml=${1:-$here/fourthring.toml}
folder=${2:-/etc/fourthring/secrets}
owner=10001

umask 077
mkdir -p "$folder"
agents=$(sed -n 's/^\[agents\.\([0-9]\{2,6\}\)\]$/sip-\1/p' "$toml")
browsers=$(awk '/^\[/ { agent = "" } match($0, /^\[agents\.[0-9]+\]$/) { agent = substr($0, 9, length($0) - 9) }
    agent && /^webrtc *= *true/ { print "web-" agent }' "$toml")
for name in ami-bridge ami-dialer ami-supervisor agi-token desk-token $agents $browsers; do
    [ -e "$folder/$name" ] || od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$folder/$name"
done
if [ "$(id -u)" = 0 ]; then
    chown -R "$owner:$owner" "$folder"
else
    echo "The containers run as user $owner and must read $folder; run once: sudo chown -R $owner:$owner $folder" >&2
fi

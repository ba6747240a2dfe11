#!/bin/sh
# Builds both images where no image registry can be reached and no Docker engine runs: with buildah, on base images
# made from this machine's own Debian mirror. Needs root, buildah and mmdebstrap.
#
#   docker/build-offline.sh            build fourthring/asterisk and fourthring/app
#   docker/build-offline.sh asterisk   build one of them
#
# What this machine needs to reach packages (its mirror, its apt settings, the Python packages, fetched beforehand) is
# lent to the build as a read-only mount and is no part of any image.
set -eu

cd "$(dirname "$0")/.."
images=${*:-asterisk app}
if [ "$(id -u)" != 0 ] || ! command -v buildah >/dev/null || ! command -v mmdebstrap >/dev/null; then
    echo "This needs root, buildah and mmdebstrap; run as root: apt-get install buildah mmdebstrap" >&2
    exit 1
fi
lent=$(mktemp -d)
trap 'rm -rf "$lent"' EXIT INT TERM
python=${PYTHON:-.venv/bin/python}
mirror=$(PYTHONPATH=. "$python" -c 'from ami_bridge.pbx.mirror import debian_mirror; print(debian_mirror())')

base_image() { # SUITE
    name=docker.io/library/debian:$1-slim
    if buildah inspect --type image "$name" >/dev/null 2>&1; then return; fi
    echo "making the base image $name"
    mmdebstrap --quiet --variant=minbase \
        --aptopt='Acquire::Check-Valid-Until "false"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --customize-hook='rm -f "$1/etc/resolv.conf" "$1/etc/hostname" "$1/etc/apt/sources.list" "$1/etc/apt/apt.conf.d/99mmdebstrap"' \
        "$1" "$lent/$1.tar" "$mirror"
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$lent/$1.tar" / >/dev/null
    buildah config --cmd bash "$container"
    buildah commit --quiet --rm "$container" "$name" >/dev/null
    rm "$lent/$1.tar"
}

# What the build may borrow lies in one folder, mounted on /mnt, which every image has and which stays empty in it.
# The Dockerfiles take APT_CONFIG and PIP_CONFIG_FILE as arguments; arguments are no part of an image.
lend() { # SUITE
    rm -rf "$lent/mnt"
    mkdir -p "$lent/mnt"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $1 main" >"$lent/mnt/sources.list"
    {
        echo 'Dir::Etc::SourceList "/mnt/sources.list"; Dir::Etc::SourceParts "/dev/null";'
        echo 'Acquire::Check-Valid-Until "false";'
        apt-config dump | grep -E '^Acquire::(http|https|ftp)::' || true
    } >"$lent/mnt/apt.conf"

    # The packages of the lock file, fetched with this machine's own pip settings for the Python of the image.
    printf '[global]\nno-index = true\nfind-links = /mnt/wheels\n' >"$lent/mnt/pip.conf"
    if [ "$1" = bookworm ]; then cp -r "$(wheels)" "$lent/mnt/wheels"; fi
}

# Prints the folder of the lock file's packages, which is filled once for each lock file.
wheels() {
    cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/fourthring
    kept=$cache/wheels-$(sha256sum requirements.lock | cut -c1-16)
    if [ ! -d "$kept" ]; then
        "$python" -m pip download -qq --no-deps --only-binary=:all: --python-version 3.11 --require-hashes \
            --requirement requirements.lock --dest "$lent/wheels" >&2
        rm -rf "$cache"/wheels-*
        mkdir -p "$cache"
        mv "$lent/wheels" "$kept"
    fi
    echo "$kept"
}

for image in $images; do
    case $image in
        asterisk) suite=forky ;;
        app) suite=bookworm ;;
        *) echo "There is no image '$image'; write asterisk or app." >&2; exit 2 ;;
    esac
    base_image "$suite"
    lend "$suite"
    echo "building fourthring/$image"
    before=$(buildah images --quiet --no-trunc "localhost/fourthring/$image" 2>/dev/null || true)
    buildah build --isolation chroot --pull=never --layers --format docker --quiet --volume "$lent/mnt:/mnt:ro" \
        --build-arg APT_CONFIG=/mnt/apt.conf --build-arg PIP_CONFIG_FILE=/mnt/pip.conf \
        --ignorefile "docker/$image.Dockerfile.dockerignore" \
        --file "docker/$image.Dockerfile" --tag "localhost/fourthring/$image" . >/dev/null
    # The image that lost its name would lie there for ever; layers that the new one shares stay.
    if [ -n "$before" ] && [ "$before" != "$(buildah images --quiet --no-trunc "localhost/fourthring/$image")" ]; then
        buildah rmi "$before" >/dev/null 2>&1 || true
    fi
done
buildah images --format '{{.Name}}  {{.Size}}' | grep fourthring/

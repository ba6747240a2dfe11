#!/bin/sh
# Builds an Asterisk that runs where it lies: the packages of one Debian suite, extracted and never installed.
#
#   build-tree.sh SUITE FOLDER MIRROR
#
# No package script runs and nothing needs root, a namespace or a chroot; root and an ordinary user get the same
# tree (docs/decisions/0002-private-pbx.md). FOLDER must not exist; `fourthring pbx build` moves it into place.
set -eu

suite=$1
folder=$2
mirror=$3

# A frozen mirror's index is past its date, hence Check-Valid-Until; its signature is checked all the same.
mmdebstrap --verbose --variant=extract --mode=chrootless \
    --aptopt='Acquire::Check-Valid-Until "false"' \
    --aptopt='Acquire::Languages "none"' \
    --include=asterisk,asterisk-core-sounds-en-wav,asterisk-core-sounds-ru-wav \
    "$suite" "$folder" "$mirror"

# Nothing of ours is ever run with another user's rights, and the mirror's name is nobody's business.
find "$folder" -perm /6000 -exec chmod ug-s {} +
rm -rf "$folder/etc/apt" "$folder/usr/share/doc" "$folder/usr/share/man" "$folder/usr/share/locale"

# Debian installs ru_RU_f_IvrvoiceRU and leaves the link `ru` to its alternatives system, which does not run here;
# without it CHANNEL(language)=ru speaks English and says nothing about it.
sounds=$folder/usr/share/asterisk/sounds
for voice in "$sounds"/??_??_*; do
    language=$(basename "$voice" | cut -c1-2)
    [ -e "$sounds/$language" ] || ln -s "$(basename "$voice")" "$sounds/$language"
done

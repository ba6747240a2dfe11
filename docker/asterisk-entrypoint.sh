#!/bin/sh
# Runs Asterisk on the configuration that the service 'prepare' left in the state volume.
#
#   fourthring-asterisk           run it in the foreground
#   fourthring-asterisk healthy   exit 0 when it is fully booted and answers
#   fourthring-asterisk COMMAND   one command of Asterisk's own command line
set -eu

base=${FOURTHRING_STATE:-/var/lib/fourthring}/asterisk
conf=$base/etc/asterisk.conf
umask 077

case ${1-} in
    "") ;;
    healthy)
        asterisk -C "$conf" -rx "core waitfullybooted" | grep -q "fully booted"
        exit
        ;;
    *) exec asterisk -C "$conf" -rx "$*" ;;
esac

if [ ! -r "$conf" ]; then
    echo "There is no configuration in $base/etc; run the service 'prepare' first." >&2
    exit 2
fi

for folder in varlib db agi-bin cache spool/tmp spool/monitor spool/recording run log/cel-custom data/sounds; do
    mkdir -p "$base/$folder"
done
# The rendered files name these two; they are links, so that the same files fit any Asterisk.
ln -sfn "$(dirname /usr/lib/*/asterisk/modules/chan_pjsip.so)" "$base/modules"
for entry in /usr/share/asterisk/*; do
    [ "${entry##*/}" = sounds ] || ln -sfn "$entry" "$base/data/${entry##*/}"
done
# Debian leaves sounds/ru out; Asterisk would speak English and not say why.
for voice in /usr/share/asterisk/sounds/??_??_*; do
    language=$(basename "$voice" | cut -c1-2)
    ln -sfn "$voice" "$base/data/sounds/$language"
done

# What a container that was killed left behind.
rm -f "$base/run/asterisk.ctl" "$base/run/asterisk.pid"
exec asterisk -f -C "$conf"

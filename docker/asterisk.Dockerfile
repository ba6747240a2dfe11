# Asterisk 22 LTS as Debian builds it, with English and Russian sounds. It holds no configuration: the application
# image renders that into the state volume, which both see under the same path.
#
#   docker build --file docker/asterisk.Dockerfile --tag fourthring/asterisk .
FROM docker.io/library/debian:forky-slim

# Only where a build machine lends its own apt settings (docker/build-offline.sh).
ARG APT_CONFIG
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      asterisk asterisk-core-sounds-en-wav asterisk-core-sounds-ru-wav \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /etc/asterisk /var/lib/asterisk /var/log/asterisk /var/spool/asterisk

# The same number as in the application image: both write into one volume.
RUN groupadd --gid 10001 fourthring \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/fourthring --shell /usr/sbin/nologin fourthring \
 && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/fourthring

COPY --chmod=0755 docker/asterisk-entrypoint.sh /usr/local/bin/fourthring-asterisk

# Where no resolver answers, PJSIP would ask it ten seconds long for the name of this machine.
ENV FOURTHRING_STATE=/var/lib/fourthring LC_ALL=C.UTF-8 RES_OPTIONS="timeout:1 attempts:1"
USER 10001:10001
WORKDIR /var/lib/fourthring
STOPSIGNAL SIGTERM
ENTRYPOINT ["fourthring-asterisk"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["fourthring-asterisk", "healthy"]

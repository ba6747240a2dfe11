# The application: bridge, AGI, dialer and desk. One image, one service per container.
#
#   docker build --file docker/app.Dockerfile --tag fourthring/app .
FROM docker.io/library/debian:bookworm-slim AS build

# Only where a build machine lends its own apt and pip settings (docker/build-offline.sh).
ARG APT_CONFIG
ARG PIP_CONFIG_FILE
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ca-certificates python3-venv

# Everything the lock file names, tests and all: the wheel is built with it, and it tells what the wheel needs.
# Nearly nothing of it is ever imported, so compiling it would be half of the time for nothing.
COPY requirements.lock /src/
RUN python3 -m venv /build \
 && /build/bin/pip install --no-cache-dir --no-compile --no-deps --require-hashes --requirement /src/requirements.lock

COPY pyproject.toml README.md LICENSE /src/
COPY agi /src/agi
COPY ami_bridge /src/ami_bridge
COPY config /src/config
COPY dialplans /src/dialplans
COPY docker /src/docker
RUN /build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist /src \
 && /build/bin/pip install --no-cache-dir --no-deps --no-index /dist/*.whl \
 && /build/bin/python /src/docker/runtime_lock.py /src/requirements.lock 'fourthring[postgresql]' >/dist/runtime.lock

RUN python3 -m venv /opt/fourthring \
 && /opt/fourthring/bin/pip install --no-cache-dir --no-deps --require-hashes --requirement /dist/runtime.lock \
 && /opt/fourthring/bin/pip install --no-cache-dir --no-deps --no-index /dist/*.whl \
 && /opt/fourthring/bin/pip uninstall --yes --quiet pip setuptools


FROM docker.io/library/debian:bookworm-slim

ARG APT_CONFIG
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ca-certificates espeak-ng python3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin

# The same number as in the Asterisk image: both write into one volume.
RUN groupadd --gid 10001 fourthring \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/fourthring --shell /usr/sbin/nologin fourthring \
 && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/fourthring

COPY --from=build /opt/fourthring /opt/fourthring
COPY --chmod=0755 docker/healthcheck.py docker/prepare.py /usr/local/lib/fourthring/

ENV PATH=/opt/fourthring/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    FOURTHRING_CONFIG=/etc/fourthring/fourthring.toml \
    PYTHONUNBUFFERED=1 LC_ALL=C.UTF-8
USER 10001:10001
WORKDIR /var/lib/fourthring
STOPSIGNAL SIGTERM
ENTRYPOINT ["fourthring"]
CMD ["up"]

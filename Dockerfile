# One image for the worker, Flower and the producer.
#
#   docker build -t breakeven .

FROM python:3.14-slim AS base
ENV PYTHONUNBUFFERED=1

# --- the dependencies, as locked: a layer that changes only with them -------------------------------
FROM base AS dependencies
WORKDIR /build
RUN python3 -m venv --without-pip /opt/breakeven
COPY requirements/runtime.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m pip --python /opt/breakeven/bin/python install --require-hashes --only-binary :all: \
        --disable-pip-version-check --root-user-action ignore --requirement requirements/runtime.txt \
    # What hdrhistogram asks for to be built with, and nothing imports.
    && python3 -m pip --python /opt/breakeven/bin/python uninstall --yes --quiet \
        --disable-pip-version-check --root-user-action ignore pbr setuptools

# --- the project itself, built with tools that stay in this stage ---------------------------------
FROM dependencies AS project
RUN python3 -m venv --without-pip /opt/build
COPY requirements/build.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m pip --python /opt/build/bin/python install --require-hashes --only-binary :all: \
        --disable-pip-version-check --root-user-action ignore --requirement requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY producer producer
COPY worker worker
RUN /opt/build/bin/hatchling build --target wheel \
    && python3 -m pip --python /opt/breakeven/bin/python install --no-deps --no-index \
        --disable-pip-version-check --root-user-action ignore dist/*.whl \
    # The user's own modules, after everything else, so that they can't hide anything of the image's.
    && python3 -c "import pathlib, glob; \
        site, = glob.glob('/opt/breakeven/lib/python*/site-packages'); \
        pathlib.Path(site, 'users-code.pth').write_text('/code\n')"

# --- what runs ----------------------------------------------------------------------------------
FROM base AS image
RUN groupadd --gid 10001 breakeven \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin breakeven \
    # Volumes that are mounted here take over the owner.
    && install --directory --owner=breakeven --group=breakeven --mode=0755 \
        /code /report /run/breakeven /var/lib/flower
ENV PATH=/opt/breakeven/bin:$PATH
COPY --from=project /opt/breakeven /opt/breakeven
COPY --chmod=0755 deploy/container.py /opt/breakeven/bin/breakeven
COPY --chmod=0755 deploy/queue_metrics.py /opt/breakeven/bin/queue-metrics
USER 10001:10001
WORKDIR /code
ENTRYPOINT ["breakeven"]
CMD ["producer", "--help"]

ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="breakeven" \
      org.opencontainers.image.description="One workload through every concurrency model Python offers, side by side" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"

# syntax=docker/dockerfile:1
# Cargo Herald's images. Needs Docker; CI, which has none, checks what this file copies but does not build it.
#
#   docker build -t cargo-herald .                             every role: HERALD_ROLE says which
#   docker build -t cargo-herald-migrate --target migrate .    `herald migrate`: the same, and Java with Liquibase

FROM python:3.13-slim AS base
ENV PATH=/opt/herald/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1

FROM base AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv --without-pip /opt/herald
WORKDIR /src
COPY requirements-runtime.txt ./
RUN pip --python /opt/herald/bin/python install --require-hashes --only-binary :all: -r requirements-runtime.txt
COPY . .
RUN pip --python /opt/herald/bin/python install --no-deps . \
    && python -m compileall -q /opt/herald/lib

# The jars are locked by hash and fetched here, so that a Job in the cluster fetches nothing.
FROM build AS build-migrate
COPY requirements.txt ./
RUN pip --python /opt/herald/bin/python install --require-hashes -r requirements.txt
ENV HOME=/home/herald
RUN /opt/herald/bin/python -c \
    "from stack.jars import class_path; class_path('liquibase', on_fetch=lambda done, total: None)"

FROM base AS runtime-base
RUN useradd --uid 10001 --user-group --create-home herald \
    && install -d -o herald -g herald /var/lib/herald
WORKDIR /home/herald
ENV HERALD_DATA_DIR=/var/lib/herald HERALD_HTTP_HOST=0.0.0.0 HERALD_LOG_FORMAT=json
EXPOSE 8080
CMD ["herald", "worker"]

FROM runtime-base AS migrate
COPY --from=build-migrate /opt/herald /opt/herald
COPY --from=build-migrate --chown=10001:10001 /home/herald /home/herald
USER 10001:10001
CMD ["herald", "migrate"]

FROM runtime-base
COPY --from=build /opt/herald /opt/herald
USER 10001:10001

# One image per role, each with one extra: docker build --target api|worker|worker-gpu .
#
# Build arguments go to pip: PIP_INDEX_URL where packages come from a mirror; PIP_EXTRA_INDEX_URL, for `worker`
# alone, may name PyTorch's CPU wheels. Without it torch comes with its CUDA libraries, some gigabytes.
# EXTRAS adds extras of pyproject.toml, with a comma before each: `,s3` for files in a bucket.
ARG PYTHON=3.12.12

FROM python:${PYTHON}-slim AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/opt/erfscope/bin:$PATH
# /data is a volume that api and worker share: one user, with one number, in both.
RUN groupadd --gid 10001 erfscope \
    && useradd --uid 10001 --gid erfscope --no-create-home --home-dir /tmp --shell /usr/sbin/nologin erfscope \
    && install --directory --owner=erfscope --group=erfscope --mode=0700 /data

FROM base AS source
RUN python -m venv /opt/erfscope
WORKDIR /source
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY client client
COPY service service
COPY worker worker

FROM source AS api-build
ARG PIP_INDEX_URL
ARG EXTRAS
RUN pip install --no-cache-dir ".[service${EXTRAS}]"

FROM source AS worker-build
ARG PIP_INDEX_URL
ARG EXTRAS
ARG PIP_EXTRA_INDEX_URL
RUN pip install --no-cache-dir ".[worker${EXTRAS}]"

FROM source AS worker-gpu-build
ARG PIP_INDEX_URL
ARG EXTRAS
RUN pip install --no-cache-dir ".[worker${EXTRAS}]"

FROM base AS api
COPY --from=api-build /opt/erfscope /opt/erfscope
# By number, so that a cluster can see that it is not root.
USER 10001:10001
# Not /data: what lies in the start folder could be imported, and people's files lie there.
WORKDIR /opt/erfscope
EXPOSE 8000
CMD ["python", "-P", "-m", "erfscope_service"]

FROM base AS worker
COPY --from=worker-build /opt/erfscope /opt/erfscope
USER 10001:10001
WORKDIR /opt/erfscope
CMD ["python", "-P", "-m", "erfscope_worker"]

FROM base AS worker-gpu
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=worker-gpu-build /opt/erfscope /opt/erfscope
USER 10001:10001
WORKDIR /opt/erfscope
CMD ["python", "-P", "-m", "erfscope_worker"]

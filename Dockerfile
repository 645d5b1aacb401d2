# The image that sandboxes run in: docker build -t apprentice-sandbox .
ARG BASE_IMAGE=python:3.12-slim-bookworm
FROM ${BASE_IMAGE}
RUN command -v git >/dev/null && command -v python3 >/dev/null \
    || (apt-get update \
        && apt-get install -y --no-install-recommends git python3 ca-certificates \
        && rm -rf /var/lib/apt/lists/*)
ENV PYTHONDONTWRITEBYTECODE=1
WORKDIR /
CMD ["python3"]

# The manager, as the chart and manifests/install.yaml run it: no root, a read-only file system.
#   docker build -t REGISTRY/kruise-rollout:0.7.0 .
FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN python -m venv /app && /app/bin/pip install --no-cache-dir -c constraints.txt '.[fast]' && /app/bin/python -m compileall -q /app/lib

FROM python:3.13-slim
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT ["kruise-rollout", "manager"]

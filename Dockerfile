# Airflow with the plugin, its dashboard and the DAG files: `docker build --target airflow -t cch-airflow .`
# The target `local` adds what stands in for AWS and for other teams' services on a machine without either.
ARG AIRFLOW=apache/airflow:3.3.1-python3.12
ARG NODE=node:22-slim

FROM ${NODE} AS dashboard
WORKDIR /src/ui
COPY ui/package.json ui/.npmrc ./
RUN npm install --no-audit --no-fund --loglevel=error
COPY docs/openapi.json ../docs/
COPY ui ./
RUN npm run build

FROM ${AIRFLOW} AS wheel
WORKDIR /tmp/src
COPY --chown=airflow:0 pyproject.toml README.md ./
COPY --chown=airflow:0 dags dags
COPY --chown=airflow:0 plugins plugins
COPY --from=dashboard --chown=airflow:0 /src/plugins/cch/api/dashboard plugins/cch/api/dashboard
COPY --chown=airflow:0 deploy/cch-dev deploy/cch-dev
RUN pip wheel --quiet --no-cache-dir --no-deps --wheel-dir /tmp/dist . \
    && pip wheel --quiet --no-cache-dir --no-deps --wheel-dir /tmp/dev ./deploy/cch-dev

# No HEALTHCHECK: one image, several roles. The checks stand with the services in docker-compose.yaml.
FROM ${AIRFLOW} AS airflow
COPY requirements/constraints.txt /tmp/
COPY --from=wheel /tmp/dist /tmp/dist
# The base image's own pins for what they name, ours for the rest.
RUN pip install --quiet --no-cache-dir --constraint "${HOME}/constraints.txt" \
        $(grep -E '^networkx==' /tmp/constraints.txt) /tmp/dist/*.whl \
    && cch dag-files "${AIRFLOW_HOME}/dags"

FROM airflow AS local
COPY --from=wheel /tmp/dev /tmp/dev
COPY capability-mock-service /tmp/capability-mock-service
RUN cp -r /tmp/capability-mock-service /tmp/mock \
    && pip install --quiet --no-cache-dir --constraint "${HOME}/constraints.txt" \
        $(grep -E '^(cheroot|moto)==' /tmp/constraints.txt | sed 's/^moto==/moto[server,s3,sqs,dynamodb]==/') /tmp/mock \
    && pip install --quiet --no-cache-dir --no-deps /tmp/dev/*.whl \
    && rm -r /tmp/mock
# One of the sample functions is written for Node.js.
COPY --from=dashboard /usr/local/bin/node /usr/local/bin/
COPY lambda-functions /opt/cch/lambda-functions
COPY sample-data /opt/cch/sample-data
COPY workflow-definitions /opt/cch/workflow-definitions

# Stand-ins for the images that docker-compose.yaml and Dockerfile name, for machines that reach no registry: Debian's
# root (root.tar, made by images.py) in the place of theirs, and as much of their interfaces as is used.
FROM scratch AS debian
ADD root.tar /
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt LANG=C.UTF-8

FROM debian AS node
# Where the image of Node.js has it.
RUN cp /usr/bin/node /usr/local/bin/

FROM debian AS redis
COPY tests/compose/redis-entrypoint.sh /entrypoint
ENTRYPOINT ["/entrypoint"]
CMD ["redis-server"]

FROM debian AS postgres
COPY tests/compose/postgres-entrypoint.sh /entrypoint
ENTRYPOINT ["/entrypoint"]
CMD ["postgres"]

# The user, folders, entrypoint and constraints file of Airflow's image.
FROM debian AS airflow
RUN useradd --uid 50000 --gid 0 --create-home airflow && mkdir -p /opt/airflow/dags && chown -R airflow:0 /opt/airflow
COPY tests/compose/airflow-entrypoint.sh /entrypoint
USER airflow
ENV HOME=/home/airflow AIRFLOW_HOME=/opt/airflow PATH=/home/airflow/.local/bin:/usr/local/bin:/usr/bin:/bin
WORKDIR /opt/airflow
COPY requirements/mwaa-3.3.1.txt /home/airflow/constraints.txt
COPY requirements/mwaa-image.in /tmp/
RUN python3 -m venv /home/airflow/.local && pip install --quiet --no-cache-dir uv==0.12.3 \
    && uv pip install --quiet --no-cache --system-certs --python /home/airflow/.local/bin/python \
        -c /home/airflow/constraints.txt -r /tmp/mwaa-image.in redis
ENTRYPOINT ["/usr/bin/dumb-init", "--", "/entrypoint"]

#!/bin/bash
# What the entrypoint of PostgreSQL's image does: a database for POSTGRES_USER, then the server.
set -e
bin=$(echo /usr/lib/postgresql/*/bin)
data=/var/lib/postgresql/data
as() { setpriv --reuid postgres --regid postgres --init-groups "$@"; }
if [ ! -f "$data/PG_VERSION" ]; then
    mkdir -p "$data" && chown postgres "$data" && mkdir -p /var/run/postgresql && chown postgres /var/run/postgresql
    secret=$(as mktemp) && echo "$POSTGRES_PASSWORD" > "$secret"
    as "$bin/initdb" -D "$data" -U "$POSTGRES_USER" --auth-local trust --auth-host scram-sha-256 --pwfile "$secret" \
        >/dev/null
    rm "$secret"
    echo "host all all all scram-sha-256" >> "$data/pg_hba.conf"
    as "$bin/pg_ctl" -D "$data" -w -o "-c listen_addresses=" start >/dev/null
    as "$bin/createdb" -U "$POSTGRES_USER" "$POSTGRES_DB"
    as "$bin/pg_ctl" -D "$data" -w stop >/dev/null
fi
exec setpriv --reuid postgres --regid postgres --init-groups "$bin/postgres" -D "$data" -c "listen_addresses=*"

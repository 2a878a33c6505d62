#!/bin/bash
# What the entrypoint of Airflow's image does with its arguments.
case "$1" in
    bash | python) exec "$@" ;;
    airflow) exec "$@" ;;
    *) exec airflow "$@" ;;
esac

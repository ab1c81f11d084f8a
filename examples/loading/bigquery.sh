#!/bin/sh
# One date's whole snapshot as a partition of a table: bigquery.sh gs://bucket/prefix acme 2026-11-22 dataset.table
set -eu
bucket=$1 account=$2 date=$3 table=$4
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

gcloud storage cp "$bucket/recipients/account=$account/dt=$date/_manifest.json" "$folder/manifest.json"
state=$(jq -r .state "$folder/manifest.json")
[ "$state" = complete ] || { echo "$account $date is $state: see harvester status" >&2; exit 1; }
files=$(jq -r --arg bucket "$bucket" \
    '[.jobs[] | select(.rows > 0) | "\($bucket)/\(.path)"] | unique | join(",")' "$folder/manifest.json")

harvester schema record --for bigquery > "$folder/schema.json"
bq load --replace --source_format=NEWLINE_DELIMITED_JSON --time_partitioning_type=DAY \
    "$table\$$(echo "$date" | tr -d -)" "$files" "$folder/schema.json"

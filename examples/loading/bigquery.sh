#!/bin/sh
# One date's whole snapshot as a partition of a table: bigquery.sh gs://bucket/prefix acme 2026-11-22 dataset.table
set -eu
bucket=$1 account=$2 date=$3 table=$4
day=$(echo "$date" | tr -d -)
staging=${table}_$day
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

gcloud storage cp "$bucket/recipients/account=$account/dt=$date/_manifest.json" "$folder/manifest.json"
state=$(jq -r .state "$folder/manifest.json")
[ "$state" = complete ] || { echo "$account $date is $state: see harvester status" >&2; exit 1; }
harvester schema record --for bigquery > "$folder/schema.json"

# One argument of a command takes 128 KiB on Linux: so many files are loaded at a time, into a table beside the target.
jq -r --arg bucket "$bucket" '[.jobs[] | select(.rows > 0) | "\($bucket)/\(.path)"] | unique[]' "$folder/manifest.json" |
    awk '
        length(line) + length($0) > 100000 { print line; line = "" }
        { line = line == "" ? $0 : line "," $0 }
        END { if (line != "") print line }
    ' > "$folder/loads"
bq rm --force --table "$staging"
bq mk --table "$staging" "$folder/schema.json"
while read -r files; do
    bq load --noreplace --source_format=NEWLINE_DELIMITED_JSON "$staging" "$files" "$folder/schema.json" < /dev/null
done < "$folder/loads"

# Of a date without rows the partition is empty afterwards, as it should be.
bq mk --force --table --time_partitioning_type=DAY "$table" "$folder/schema.json"
bq cp --force "$staging" "$table\$$day"
bq rm --force --table "$staging"

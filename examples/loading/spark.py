"""One date's whole snapshot as a DataFrame: spark-submit spark.py OUTPUT acme 2026-11-22."""

import json
import sys
from pathlib import Path

from pyspark.sql import SparkSession

SCHEMA = """
    account STRING, campaign_key STRING, parent_campaign_key STRING, action STRING,
    contact_id STRING, email STRING, first_name STRING, last_name STRING, company STRING,
    phone STRING, timezone STRING, contact_status STRING,
    sent_time_ms BIGINT, sent_date STRING, sent_at TIMESTAMP, harvested_at TIMESTAMP,
    run_id STRING, position BIGINT, open_reports STRING, click_count BIGINT, clicked_urls STRING,
    click_reports STRING, bounced_date STRING, opted_out_date STRING, event_times ARRAY<STRING>,
    raw STRING
"""

output, account, date = sys.argv[1:]
# Spark passes over files whose names begin with an underscore, so the manifest is read without it.
manifest = json.loads(Path(output, "recipients", f"account={account}", f"dt={date}", "_manifest.json").read_text())
if manifest["state"] != "complete":
    sys.exit(f"{account} {date} is {manifest['state']}: see harvester status")
files = sorted({f"{output}/{job['path']}" for job in manifest["jobs"] if job["rows"]})

spark = SparkSession.builder.appName("harvester").getOrCreate()
recipients = spark.read.json(files, schema=SCHEMA, lineSep="\n")
recipients.groupBy("action").count().orderBy("action").show()

-- The stage @harvester points to the output folder's bucket and prefix. Files that were loaded are passed over by COPY;
-- one that was harvested again is loaded again, and the newest load of a path counts.
CREATE TABLE IF NOT EXISTS harvester_records (path STRING, modified TIMESTAMP_NTZ, record VARIANT);

COPY INTO harvester_records
FROM (SELECT METADATA$FILENAME, METADATA$FILE_LAST_MODIFIED, $1 FROM @harvester/recipients/)
PATTERN = '.*/action=.*[.]jsonl([.]gz|[.]zst)?'
FILE_FORMAT = (TYPE = JSON);

-- The files of one date's whole snapshot: in a manifest each job has a line of its own.
CREATE FILE FORMAT IF NOT EXISTS harvester_lines TYPE = CSV FIELD_DELIMITER = NONE ESCAPE_UNENCLOSED_FIELD = NONE;

CREATE OR REPLACE TABLE harvester_files AS
SELECT DISTINCT TRY_PARSE_JSON(RTRIM($1, ',')):path::STRING AS path
FROM @harvester/recipients/account=acme/dt=2026-11-22/_manifest.json (FILE_FORMAT => 'harvester_lines')
WHERE TRY_PARSE_JSON(RTRIM($1, ',')):rows > 0;

CREATE OR REPLACE VIEW recipients AS
SELECT
    record:campaign_key::STRING AS campaign_key,
    record:action::STRING AS action,
    record:contact_id::STRING AS contact_id,
    record:email::STRING AS email,
    record:sent_at::TIMESTAMP_TZ AS sent_at,
    record:harvested_at::TIMESTAMP_TZ AS harvested_at,
    record
FROM harvester_records
JOIN harvester_files ON ENDSWITH(harvester_records.path, harvester_files.path)
QUALIFY modified = MAX(modified) OVER (PARTITION BY harvester_records.path);

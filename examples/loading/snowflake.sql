-- The stage @harvester points to the output folder's bucket and prefix. Files that were loaded are passed over by COPY;
-- one that was harvested again is loaded again, and the newest load of a path counts.
CREATE TABLE IF NOT EXISTS harvester_records (path STRING, modified TIMESTAMP_NTZ, record VARIANT);

COPY INTO harvester_records
FROM (SELECT METADATA$FILENAME, METADATA$FILE_LAST_MODIFIED, $1 FROM @harvester/recipients/)
PATTERN = '.*/action=.*[.]jsonl([.]gz|[.]zst)?'
FILE_FORMAT = (TYPE = JSON);

-- The files of one date's whole snapshot: in a manifest each job has a line of its own. Its first line, an object that
-- only the last one closes, says whether the date is complete: of any other this fails, and leaves the tables as they are.
CREATE FILE FORMAT IF NOT EXISTS harvester_lines TYPE = CSV FIELD_DELIMITER = NONE ESCAPE_UNENCLOSED_FIELD = NONE;

CREATE OR REPLACE TABLE harvester_files AS
WITH manifest AS (
    SELECT RTRIM($1, ',') AS line
    FROM @harvester/recipients/account=acme/dt=2026-11-22/_manifest.json (FILE_FORMAT => 'harvester_lines')
), head AS (
    SELECT TRY_PARSE_JSON(line || '}'):state::STRING AS state FROM manifest
    WHERE TRY_PARSE_JSON(line || '}'):manifest_version = 1
)
SELECT DISTINCT TRY_PARSE_JSON(line):path::STRING AS path
FROM manifest CROSS JOIN head
WHERE TRY_PARSE_JSON(line):rows > 0
AND TO_BOOLEAN(IFF(state = 'complete', 'true', 'the date is ' || state || ': see harvester status'));

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

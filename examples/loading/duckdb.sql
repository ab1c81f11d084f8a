-- One date's whole snapshot as a table. To be run in the output folder.
SET VARIABLE manifest = 'recipients/account=acme/dt=2026-11-22/_manifest.json';

SET VARIABLE files = (
    SELECT if(
        state = 'complete',
        list_distinct([job.path FOR job IN jobs IF job.path IS NOT NULL]),
        error('the date is ' || state || ': see harvester status')
    )
    FROM read_json(
        getvariable('manifest'),
        columns = {state: 'VARCHAR', jobs: 'STRUCT(path VARCHAR)[]'},
        maximum_object_size = 268435456  -- 400,000 jobs
    )
);

CREATE OR REPLACE TABLE recipients AS
SELECT * FROM read_json(getvariable('files'), format = 'newline_delimited', hive_partitioning = false, columns = {
    account: 'VARCHAR', campaign_key: 'VARCHAR', parent_campaign_key: 'VARCHAR', action: 'VARCHAR',
    contact_id: 'VARCHAR', email: 'VARCHAR', first_name: 'VARCHAR', last_name: 'VARCHAR', company: 'VARCHAR',
    phone: 'VARCHAR', timezone: 'VARCHAR', contact_status: 'VARCHAR',
    sent_time_ms: 'BIGINT', sent_date: 'VARCHAR', sent_at: 'TIMESTAMPTZ', harvested_at: 'TIMESTAMPTZ',
    run_id: 'VARCHAR', position: 'BIGINT', open_reports: 'VARCHAR', click_count: 'BIGINT', clicked_urls: 'VARCHAR',
    click_reports: 'VARCHAR', bounced_date: 'VARCHAR', opted_out_date: 'VARCHAR', event_times: 'VARCHAR[]',
    raw: 'JSON'
});

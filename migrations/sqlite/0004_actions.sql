-- How the job had ended: it may have gone on since.
ALTER TABLE action ADD COLUMN job_state TEXT;

-- An action is a run template's, or a company's: then it follows the jobs of all its run
-- templates. `mode` is success, fail, always, or a condition such as `exit in 2..5`.
CREATE TABLE actionconfig_new (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    runtemplate_id INTEGER REFERENCES runtemplate (id) ON DELETE CASCADE,
    module         TEXT NOT NULL,
    mode           TEXT NOT NULL,
    position       INTEGER NOT NULL,
    configuration  TEXT NOT NULL,
    leads_to       INTEGER,
    created        INTEGER NOT NULL,
    company_id     INTEGER REFERENCES company (id) ON DELETE CASCADE,
    CHECK ((runtemplate_id IS NULL) <> (company_id IS NULL))
) STRICT;
-- No id is given out twice.
INSERT INTO sqlite_sequence (name, seq)
    SELECT 'actionconfig_new', seq FROM sqlite_sequence WHERE name = 'actionconfig';
INSERT INTO actionconfig_new
    SELECT id, runtemplate_id, module, mode, position, configuration, leads_to, created, NULL
    FROM actionconfig;
DROP TABLE actionconfig;
ALTER TABLE actionconfig_new RENAME TO actionconfig;
CREATE INDEX actionconfig_runtemplate ON actionconfig (runtemplate_id, position, id);
CREATE INDEX actionconfig_company ON actionconfig (company_id, position, id) WHERE company_id IS NOT NULL;

-- How the job had ended: it may have gone on since.
ALTER TABLE action ADD COLUMN job_state TEXT;

-- An action is a run template's, or a company's: then it follows the jobs of all its run
-- templates. `mode` is success, fail, always, or a condition such as `exit in 2..5`.
ALTER TABLE actionconfig ALTER COLUMN runtemplate_id DROP NOT NULL;
ALTER TABLE actionconfig ADD COLUMN company_id BIGINT REFERENCES company (id) ON DELETE CASCADE;
ALTER TABLE actionconfig ADD CHECK ((runtemplate_id IS NULL) <> (company_id IS NULL));
CREATE INDEX actionconfig_company ON actionconfig (company_id, position, id) WHERE company_id IS NOT NULL;

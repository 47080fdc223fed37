-- How the job had ended: it may have gone on since.
ALTER TABLE action ADD COLUMN job_state VARCHAR(16);

-- An action is a run template's, or a company's: then it follows the jobs of all its run
-- templates. `mode` is success, fail, always, or a condition such as `exit in 2..5`.
ALTER TABLE actionconfig MODIFY COLUMN runtemplate_id BIGINT;
ALTER TABLE actionconfig ADD COLUMN company_id BIGINT;
ALTER TABLE actionconfig ADD CONSTRAINT CHECK ((runtemplate_id IS NULL) <> (company_id IS NULL));
CREATE INDEX actionconfig_company ON actionconfig (company_id, position, id);
ALTER TABLE actionconfig ADD FOREIGN KEY (company_id) REFERENCES company (id) ON DELETE CASCADE;

-- Nearly all jobs succeed. Those that have not are looked for most, and among them alone:
-- `job:list --state failed`, of a company, of a run template, of an application. Nothing else
-- is in these indices, so that a job that succeeds costs nothing more.
CREATE INDEX job_unsuccessful ON job (id, state)
    WHERE state IN ('failed', 'cancelled', 'timed_out', 'lost');
CREATE INDEX job_runtemplate_unsuccessful ON job (runtemplate_id, id, state)
    WHERE state IN ('failed', 'cancelled', 'timed_out', 'lost');
CREATE INDEX job_company_unsuccessful ON job (company_id, id, state)
    WHERE state IN ('failed', 'cancelled', 'timed_out', 'lost');
CREATE INDEX job_app_unsuccessful ON job (app_id, id, state)
    WHERE state IN ('failed', 'cancelled', 'timed_out', 'lost');

-- What has happened to jobs, in order: who watches reads on from the last `id` that he knows.
-- The database writes it itself, so that no change of a state can be without. It is no part
-- of a job: a job that is deleted leaves its events, until they are too old.
CREATE TABLE event (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id         INTEGER NOT NULL,
    attempt        INTEGER NOT NULL,
    state          TEXT NOT NULL,
    runtemplate_id INTEGER NOT NULL,
    company_id     INTEGER NOT NULL,
    at             INTEGER NOT NULL
) STRICT;

-- Jobs that are imported or transferred have ended elsewhere.
CREATE TRIGGER job_created AFTER INSERT ON job WHEN NEW.state IN ('loaded', 'queued') BEGIN
    INSERT INTO event (job_id, attempt, state, runtemplate_id, company_id, at)
    VALUES (NEW.id, NEW.attempt, NEW.state, NEW.runtemplate_id, NEW.company_id,
        CAST(unixepoch('subsec') * 1000000 AS INTEGER));
END;

CREATE TRIGGER job_changed AFTER UPDATE OF state ON job WHEN OLD.state <> NEW.state BEGIN
    INSERT INTO event (job_id, attempt, state, runtemplate_id, company_id, at)
    VALUES (NEW.id, NEW.attempt, NEW.state, NEW.runtemplate_id, NEW.company_id,
        CAST(unixepoch('subsec') * 1000000 AS INTEGER));
END;

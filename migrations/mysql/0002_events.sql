-- What has happened to jobs, in order: who watches reads on from the last `id` that he knows.
-- The database writes it itself, so that no change of a state can be without. It is no part
-- of a job: a job that is deleted leaves its events, until they are too old.
CREATE TABLE event (
    id             BIGINT AUTO_INCREMENT PRIMARY KEY,
    job_id         BIGINT NOT NULL,
    attempt        BIGINT NOT NULL,
    state          VARCHAR(16) NOT NULL,
    runtemplate_id BIGINT NOT NULL,
    company_id     BIGINT NOT NULL,
    at             BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Jobs that are imported or transferred have ended elsewhere. A row of values takes one id; an
-- INSERT of a SELECT would leave gaps.
CREATE TRIGGER job_created AFTER INSERT ON job FOR EACH ROW
IF NEW.state IN ('loaded', 'queued') THEN
    INSERT INTO event (job_id, attempt, state, runtemplate_id, company_id, at)
    VALUES (NEW.id, NEW.attempt, NEW.state, NEW.runtemplate_id, NEW.company_id,
        CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED));
END IF;

CREATE TRIGGER job_changed AFTER UPDATE ON job FOR EACH ROW
IF OLD.state <> NEW.state THEN
    INSERT INTO event (job_id, attempt, state, runtemplate_id, company_id, at)
    VALUES (NEW.id, NEW.attempt, NEW.state, NEW.runtemplate_id, NEW.company_id,
        CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED));
END IF;

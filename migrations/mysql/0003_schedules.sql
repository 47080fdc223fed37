-- When jobs of a run template start by themselves. `interv` is n (never), i, h, d, w, m, y, or
-- c: then `cron` says. `next_schedule` is the first slot that was not decided yet, null if
-- there is none or the run template is inactive; `last_schedule` the last whose job was made.
-- `catch_up` is how many slots that were missed are caught up.
ALTER TABLE runtemplate ADD COLUMN interv VARCHAR(8) NOT NULL DEFAULT 'n';
ALTER TABLE runtemplate ADD COLUMN cron VARCHAR(255) NOT NULL DEFAULT '';
ALTER TABLE runtemplate ADD COLUMN timezone VARCHAR(64) NOT NULL DEFAULT 'UTC';
ALTER TABLE runtemplate ADD COLUMN not_before BIGINT;
ALTER TABLE runtemplate ADD COLUMN not_after BIGINT;
ALTER TABLE runtemplate ADD COLUMN delay_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runtemplate ADD COLUMN jitter_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runtemplate ADD COLUMN overlap VARCHAR(16) NOT NULL DEFAULT 'skip';
ALTER TABLE runtemplate ADD COLUMN catch_up BIGINT NOT NULL DEFAULT 1;
ALTER TABLE runtemplate ADD COLUMN next_schedule BIGINT;
ALTER TABLE runtemplate ADD COLUMN last_schedule BIGINT;
CREATE INDEX runtemplate_next ON runtemplate (next_schedule, id);

-- The slot that a job was made for; null if somebody asked for it.
ALTER TABLE job ADD COLUMN schedule BIGINT;

-- What became of slots: each is decided once, whoever decides. `outcome` is fired, caught_up,
-- skipped or missed; of those that were missed together there is the last, and `since` is the
-- first. The newest of each run template are kept.
CREATE TABLE schedule_slot (
    runtemplate_id BIGINT NOT NULL,
    slot           BIGINT NOT NULL,
    outcome        VARCHAR(16) NOT NULL,
    job_id         BIGINT,
    since          BIGINT,
    note           LONGTEXT NOT NULL,
    decided        BIGINT NOT NULL,
    PRIMARY KEY (runtemplate_id, slot),
    FOREIGN KEY (runtemplate_id) REFERENCES runtemplate (id) ON DELETE CASCADE
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

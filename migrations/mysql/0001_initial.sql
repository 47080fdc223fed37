-- Times are microseconds since the Unix epoch, UTC, by the database's clock.
-- Hashes are SHA-256 as 64 hexadecimal digits. Tables and columns that the PHP
-- MultiFlexi has too keep their names.
--
-- Texts are compared byte by byte. What a key is made of has a length; a key of long texts
-- is made of their hash. There are no indexes of some rows only: what chooses the rows is
-- the first part of the index. An index that stands before a foreign key is the one that it
-- uses; each change of a column in that one locks the row that is referred to.

CREATE TABLE company (
    id      BIGINT AUTO_INCREMENT PRIMARY KEY,
    name    VARCHAR(255) NOT NULL UNIQUE,
    slug    VARCHAR(255) UNIQUE,
    max_running BIGINT,
    created BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The company's variables, for all its jobs. A secret value is sealed with the key of
-- that id, which is not in the database; the value of a file is its content in base64,
-- and `file_name` its name. So it is in `configuration` and `credata`, and in the objects
-- of `job.env`.
CREATE TABLE companyenv (
    company_id BIGINT NOT NULL,
    keyword    VARCHAR(700) NOT NULL,
    value      LONGTEXT NOT NULL,
    key_id     LONGTEXT,
    file_name  LONGTEXT,
    PRIMARY KEY (company_id, keyword),
    FOREIGN KEY (company_id) REFERENCES company (id) ON DELETE CASCADE
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- `document` is the application's definition, JSON; the other columns are what of it is
-- looked for; in `tags` each stands between two line ends. `revision` grows with each
-- change, and is no number that a change had which was rolled back.
CREATE TABLE apps (
    id         BIGINT AUTO_INCREMENT PRIMARY KEY,
    name       VARCHAR(255) NOT NULL UNIQUE,
    executable LONGTEXT NOT NULL,
    cmdparams  LONGTEXT NOT NULL,
    uuid       VARCHAR(64) UNIQUE,
    version    LONGTEXT,
    tags       LONGTEXT NOT NULL,
    document   LONGTEXT NOT NULL,
    revision   BIGINT NOT NULL,
    created    BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The counts are of all its jobs that ever ended for good, by how; deleting jobs does not
-- lower them.
CREATE TABLE runtemplate (
    id            BIGINT AUTO_INCREMENT PRIMARY KEY,
    app_id        BIGINT NOT NULL,
    company_id    BIGINT NOT NULL,
    name          LONGTEXT NOT NULL,
    timeout_ms    BIGINT,
    grace_ms      BIGINT NOT NULL,
    lost_after_ms BIGINT NOT NULL,
    max_attempts  BIGINT NOT NULL,
    retry_on      LONGTEXT NOT NULL,
    retry_backoff LONGTEXT NOT NULL,
    retry_min_gap_ms BIGINT NOT NULL,
    retry_max_gap_ms BIGINT NOT NULL,
    overflow      LONGTEXT NOT NULL,
    priority      BIGINT NOT NULL,
    max_running   BIGINT,
    keep_age_ms   BIGINT,
    keep_count    BIGINT,
    keep_bytes    BIGINT,
    active        BIGINT NOT NULL DEFAULT 1,
    successfull_jobs_count BIGINT NOT NULL DEFAULT 0,
    failed_jobs_count      BIGINT NOT NULL DEFAULT 0,
    cancelled_jobs_count   BIGINT NOT NULL DEFAULT 0,
    timed_out_jobs_count   BIGINT NOT NULL DEFAULT 0,
    lost_jobs_count        BIGINT NOT NULL DEFAULT 0,
    last_ended             BIGINT,
    created       BIGINT NOT NULL,
    FOREIGN KEY (app_id) REFERENCES apps (id),
    FOREIGN KEY (company_id) REFERENCES company (id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX runtemplate_app ON runtemplate (app_id);
CREATE INDEX runtemplate_company ON runtemplate (company_id);

CREATE TABLE configuration (
    runtemplate_id BIGINT NOT NULL,
    name           VARCHAR(700) NOT NULL,
    value          LONGTEXT NOT NULL,
    key_id         LONGTEXT,
    file_name      LONGTEXT,
    PRIMARY KEY (runtemplate_id, name),
    FOREIGN KEY (runtemplate_id) REFERENCES runtemplate (id) ON DELETE CASCADE
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Types of credentials: `document` is the definition, JSON, as of `apps`.
CREATE TABLE credential_type (
    id       BIGINT AUTO_INCREMENT PRIMARY KEY,
    code     VARCHAR(255) NOT NULL UNIQUE,
    name     LONGTEXT NOT NULL,
    uuid     VARCHAR(64) UNIQUE,
    version  LONGTEXT,
    document LONGTEXT NOT NULL,
    revision BIGINT NOT NULL,
    created  BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Secrets of a company under one name, and the run templates that use them.
CREATE TABLE credentials (
    id         BIGINT AUTO_INCREMENT PRIMARY KEY,
    company_id BIGINT NOT NULL,
    name       VARCHAR(255) NOT NULL,
    credential_type_id BIGINT,
    created    BIGINT NOT NULL,
    UNIQUE (company_id, name),
    FOREIGN KEY (company_id) REFERENCES company (id) ON DELETE CASCADE,
    FOREIGN KEY (credential_type_id) REFERENCES credential_type (id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX credentials_type ON credentials (credential_type_id);

CREATE TABLE credata (
    credential_id BIGINT NOT NULL,
    name          VARCHAR(700) NOT NULL,
    value         LONGTEXT NOT NULL,
    key_id        LONGTEXT,
    file_name     LONGTEXT,
    PRIMARY KEY (credential_id, name),
    FOREIGN KEY (credential_id) REFERENCES credentials (id) ON DELETE CASCADE
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE runtplcreds (
    runtemplate_id BIGINT NOT NULL,
    credentials_id BIGINT NOT NULL,
    PRIMARY KEY (runtemplate_id, credentials_id),
    FOREIGN KEY (runtemplate_id) REFERENCES runtemplate (id) ON DELETE CASCADE,
    FOREIGN KEY (credentials_id) REFERENCES credentials (id) ON DELETE CASCADE
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX runtplcreds_credential ON runtplcreds (credentials_id);

-- Schedulers that are there now: each renews `seen`. `address` is where the others reach it.
CREATE TABLE scheduler (
    id      BIGINT AUTO_INCREMENT PRIMARY KEY,
    address LONGTEXT NOT NULL,
    seen    BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- `scheduler_id` is the scheduler that the agent is connected to, or was last.
CREATE TABLE agent (
    id        BIGINT AUTO_INCREMENT PRIMARY KEY,
    name      VARCHAR(255) NOT NULL UNIQUE,
    instance  LONGTEXT NOT NULL,
    boot      LONGTEXT NOT NULL,
    slots     BIGINT NOT NULL,
    version   LONGTEXT NOT NULL,
    labels    LONGTEXT NOT NULL,
    last_seen BIGINT NOT NULL,
    scheduler_id BIGINT NOT NULL,
    connected BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- A waiting job can be claimed if `held` is null: else it waits for its time (`due`)
-- or for a place under a limit (`limit`). The claim takes the highest `priority` first,
-- then the lowest `rank`, which is given out so that companies take turns. `limited` is
-- 1 while it counts towards a limit, 2 once it has, 0 if there is none. `attempt` and
-- `fence` are those of the newest attempt; a change to a job on an agent names both and
-- its own state, in the changing statement.
CREATE TABLE job (
    id               BIGINT AUTO_INCREMENT PRIMARY KEY,
    runtemplate_id   BIGINT NOT NULL,
    app_id           BIGINT NOT NULL,
    company_id       BIGINT NOT NULL,
    env              LONGTEXT NOT NULL,
    state            VARCHAR(16) NOT NULL,
    attempt          BIGINT NOT NULL DEFAULT 0,
    fence            BIGINT NOT NULL DEFAULT 0,
    request_id       VARCHAR(255),
    request_index    BIGINT NOT NULL,
    created_by       LONGTEXT NOT NULL,
    created          BIGINT NOT NULL,
    queued           BIGINT,
    ended            BIGINT,
    cancel_requested BIGINT,
    retries          BIGINT NOT NULL DEFAULT 0,
    priority         BIGINT NOT NULL,
    `rank`           BIGINT NOT NULL DEFAULT 0,
    due              BIGINT,
    held             VARCHAR(16),
    limited          BIGINT NOT NULL DEFAULT 0,
    UNIQUE (request_id, request_index),
    INDEX job_runtemplate (runtemplate_id, id),
    INDEX job_company (company_id, id),
    INDEX job_app (app_id, id),
    FOREIGN KEY (runtemplate_id) REFERENCES runtemplate (id),
    FOREIGN KEY (app_id) REFERENCES apps (id),
    FOREIGN KEY (company_id) REFERENCES company (id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX job_ready ON job (state, held, priority DESC, `rank`, id);
CREATE INDEX job_turn ON job (company_id, state, priority, `rank`);
CREATE INDEX job_due ON job (state, held, due);
CREATE INDEX job_limited ON job (limited, company_id, runtemplate_id, held, priority DESC, `rank`, id);
CREATE INDEX job_state ON job (state, id);
CREATE INDEX job_created ON job (created, id);
CREATE INDEX job_ended ON job (ended, id);

-- What holds for the whole system. `queue_paused`: nothing is claimed; the value says
-- who wanted it.
CREATE TABLE setting (
    name    VARCHAR(255) PRIMARY KEY,
    value   LONGTEXT NOT NULL,
    changed BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- One try at running a job. `command` and `leftovers` are JSON; `queued` is when the job
-- entered the queue for it.
CREATE TABLE attempt (
    job_id            BIGINT NOT NULL,
    number            BIGINT NOT NULL,
    fence             BIGINT NOT NULL,
    state             VARCHAR(16) NOT NULL,
    agent_id          BIGINT NOT NULL,
    command           LONGTEXT NOT NULL,
    queued            BIGINT NOT NULL,
    offered           BIGINT NOT NULL,
    started           BIGINT,
    unreachable       BIGINT,
    ended             BIGINT,
    exit_code         BIGINT,
    `signal`          BIGINT,
    pid               BIGINT,
    user_cpu_us       BIGINT,
    system_cpu_us     BIGINT,
    peak_memory_bytes BIGINT,
    stdout_bytes      BIGINT,
    stdout_sha256     LONGTEXT,
    stderr_bytes      BIGINT,
    stderr_sha256     LONGTEXT,
    log_length        BIGINT,
    leftovers         LONGTEXT,
    trouble           LONGTEXT,
    choice            LONGTEXT,
    retry_due         BIGINT,
    PRIMARY KEY (job_id, number),
    INDEX attempt_agent (agent_id, job_id),
    FOREIGN KEY (job_id) REFERENCES job (id) ON DELETE CASCADE,
    FOREIGN KEY (agent_id) REFERENCES agent (id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX attempt_exit_code ON attempt (exit_code, job_id);
CREATE INDEX attempt_active ON attempt (agent_id, state);
CREATE INDEX attempt_state ON attempt (state);

-- What was decided about a job besides what its attempts say; rows are only added.
CREATE TABLE decision (
    id      BIGINT AUTO_INCREMENT PRIMARY KEY,
    job_id  BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    what    LONGTEXT NOT NULL,
    why     LONGTEXT NOT NULL,
    FOREIGN KEY (job_id) REFERENCES job (id) ON DELETE CASCADE
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX decision_job ON decision (job_id, id);

-- What follows when a job of a run template has ended: an action of the kind `module`, on
-- `mode` (success, fail, always). `configuration` is JSON like `job.env`: a value is text, or
-- an object if it is sealed. `leads_to` is the run template that it makes jobs of.
CREATE TABLE actionconfig (
    id             BIGINT AUTO_INCREMENT PRIMARY KEY,
    runtemplate_id BIGINT NOT NULL,
    module         LONGTEXT NOT NULL,
    mode           LONGTEXT NOT NULL,
    position       BIGINT NOT NULL,
    configuration  LONGTEXT NOT NULL,
    leads_to       BIGINT,
    created        BIGINT NOT NULL,
    FOREIGN KEY (runtemplate_id) REFERENCES runtemplate (id) ON DELETE CASCADE
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX actionconfig_runtemplate ON actionconfig (runtemplate_id, position, id);

-- The actions of jobs that have ended, as they were configured then: what is to be done, and
-- then the record of it. `state` is pending, running, succeeded or failed. `due` is when it
-- may be begun, or begun again if whoever has it (under `fence`) does not say what came of
-- it; null while it waits for the one before it, and once it has ended.
CREATE TABLE action (
    id              BIGINT AUTO_INCREMENT PRIMARY KEY,
    job_id          BIGINT NOT NULL,
    attempt         BIGINT NOT NULL,
    actionconfig_id BIGINT NOT NULL,
    runtemplate_id  BIGINT NOT NULL,
    module          LONGTEXT NOT NULL,
    position        BIGINT NOT NULL,
    configuration   LONGTEXT NOT NULL,
    state           VARCHAR(16) NOT NULL,
    fence           BIGINT NOT NULL DEFAULT 0,
    tries           BIGINT NOT NULL DEFAULT 0,
    due             BIGINT,
    created         BIGINT NOT NULL,
    started         BIGINT,
    ended           BIGINT,
    outcome         LONGTEXT,
    UNIQUE (job_id, attempt, actionconfig_id),
    FOREIGN KEY (job_id) REFERENCES job (id) ON DELETE CASCADE
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX action_due ON action (due, id);
CREATE INDEX action_state ON action (state, id);

-- The stored log of an attempt: framed records from `start` on. Small chunks are
-- inline in `content`, others are the object of that name.
CREATE TABLE log_chunk (
    job_id     BIGINT NOT NULL,
    attempt    BIGINT NOT NULL,
    start      BIGINT NOT NULL,
    length     BIGINT NOT NULL,
    stdout_at  BIGINT NOT NULL,
    stderr_at  BIGINT NOT NULL,
    last_time  BIGINT NOT NULL,
    encoding   LONGTEXT NOT NULL,
    content    LONGBLOB,
    object     LONGTEXT,
    PRIMARY KEY (job_id, attempt, start),
    FOREIGN KEY (job_id, attempt) REFERENCES attempt (job_id, number) ON DELETE CASCADE
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- `source` is file, stdout or stderr; the content of the latter two is the log.
-- `state` is uploading, stored or failed (then `note` says why).
CREATE TABLE artifacts (
    id           BIGINT AUTO_INCREMENT PRIMARY KEY,
    job_id       BIGINT NOT NULL,
    attempt      BIGINT NOT NULL,
    source       VARCHAR(16) NOT NULL,
    filename     LONGTEXT NOT NULL,
    content_type VARCHAR(255) NOT NULL,
    content      LONGBLOB,
    size         BIGINT NOT NULL,
    sha256       LONGTEXT,
    note         LONGTEXT NOT NULL,
    state        VARCHAR(16) NOT NULL,
    created      BIGINT NOT NULL,
    filename_hash BINARY(32) AS (UNHEX(SHA2(filename, 256))) VIRTUAL,
    UNIQUE (job_id, attempt, source, filename_hash),
    FOREIGN KEY (job_id) REFERENCES job (id) ON DELETE CASCADE
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX artifacts_type ON artifacts (source, content_type, id);
CREATE INDEX artifacts_failed ON artifacts (state, id);

-- The content of an artifact that is too large to be inline: objects in order.
CREATE TABLE artifact_part (
    artifact_id BIGINT NOT NULL,
    start       BIGINT NOT NULL,
    length      BIGINT NOT NULL,
    object      LONGTEXT NOT NULL,
    PRIMARY KEY (artifact_id, start),
    FOREIGN KEY (artifact_id) REFERENCES artifacts (id) ON DELETE CASCADE
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What was imported from another system: its id there and its own here. `brought` is what
-- it said there when that was last taken over, JSON, so that the next import can tell what
-- has changed there from what has changed here; sealed with `key_id` if there are secrets
-- in it. A row outlives what it speaks of: what was deleted here is not imported again.
CREATE TABLE adopted (
    source    VARCHAR(400) NOT NULL,
    kind      VARCHAR(64) NOT NULL,
    source_id BIGINT NOT NULL,
    own_id    BIGINT NOT NULL,
    brought   LONGTEXT NOT NULL,
    key_id    LONGTEXT,
    imported  BIGINT NOT NULL,
    PRIMARY KEY (source, kind, source_id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What schedulers tell each other; rows are removed when all have had time to read them.
CREATE TABLE announcement (
    id   BIGINT AUTO_INCREMENT PRIMARY KEY,
    said LONGTEXT NOT NULL,
    at   BIGINT NOT NULL,
    INDEX announcement_at (at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

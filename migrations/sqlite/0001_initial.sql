-- Times are microseconds since the Unix epoch, UTC, by the database's clock.
-- Hashes are SHA-256 as 64 hexadecimal digits. Tables and columns that the PHP
-- MultiFlexi has too keep their names.

CREATE TABLE company (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    name    TEXT NOT NULL UNIQUE,
    slug    TEXT UNIQUE,
    max_running INTEGER,
    created INTEGER NOT NULL
) STRICT;

-- The company's variables, for all its jobs. A secret value is sealed with the key of
-- that id, which is not in the database; the value of a file is its content in base64,
-- and `file_name` its name. So it is in `configuration` and `credata`, and in the objects
-- of `job.env`.
CREATE TABLE companyenv (
    company_id INTEGER NOT NULL REFERENCES company (id) ON DELETE CASCADE,
    keyword    TEXT NOT NULL,
    value      TEXT NOT NULL,
    key_id     TEXT,
    file_name  TEXT,
    PRIMARY KEY (company_id, keyword)
) STRICT, WITHOUT ROWID;

-- `document` is the application's definition, JSON; the other columns are what of it is
-- looked for; in `tags` each stands between two line ends. `revision` grows with each
-- change, and is no number that a change had which was rolled back.
CREATE TABLE apps (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL UNIQUE,
    executable TEXT NOT NULL,
    cmdparams  TEXT NOT NULL,
    uuid       TEXT UNIQUE,
    version    TEXT,
    tags       TEXT NOT NULL,
    document   TEXT NOT NULL,
    revision   INTEGER NOT NULL,
    created    INTEGER NOT NULL
) STRICT;

-- The counts are of all its jobs that ever ended for good, by how; deleting jobs does not
-- lower them.
CREATE TABLE runtemplate (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id        INTEGER NOT NULL REFERENCES apps (id),
    company_id    INTEGER NOT NULL REFERENCES company (id),
    name          TEXT NOT NULL,
    timeout_ms    INTEGER,
    grace_ms      INTEGER NOT NULL,
    lost_after_ms INTEGER NOT NULL,
    max_attempts  INTEGER NOT NULL,
    retry_on      TEXT NOT NULL,
    retry_backoff TEXT NOT NULL,
    retry_min_gap_ms INTEGER NOT NULL,
    retry_max_gap_ms INTEGER NOT NULL,
    overflow      TEXT NOT NULL,
    priority      INTEGER NOT NULL,
    max_running   INTEGER,
    keep_age_ms   INTEGER,
    keep_count    INTEGER,
    keep_bytes    INTEGER,
    active        INTEGER NOT NULL DEFAULT 1,
    successfull_jobs_count INTEGER NOT NULL DEFAULT 0,
    failed_jobs_count      INTEGER NOT NULL DEFAULT 0,
    cancelled_jobs_count   INTEGER NOT NULL DEFAULT 0,
    timed_out_jobs_count   INTEGER NOT NULL DEFAULT 0,
    lost_jobs_count        INTEGER NOT NULL DEFAULT 0,
    last_ended             INTEGER,
    created       INTEGER NOT NULL
) STRICT;
CREATE INDEX runtemplate_app ON runtemplate (app_id);
CREATE INDEX runtemplate_company ON runtemplate (company_id);

CREATE TABLE configuration (
    runtemplate_id INTEGER NOT NULL REFERENCES runtemplate (id) ON DELETE CASCADE,
    name           TEXT NOT NULL,
    value          TEXT NOT NULL,
    key_id         TEXT,
    file_name      TEXT,
    PRIMARY KEY (runtemplate_id, name)
) STRICT, WITHOUT ROWID;

-- Types of credentials: `document` is the definition, JSON, as of `apps`.
CREATE TABLE credential_type (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    code     TEXT NOT NULL UNIQUE,
    name     TEXT NOT NULL,
    uuid     TEXT UNIQUE,
    version  TEXT,
    document TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created  INTEGER NOT NULL
) STRICT;

-- Secrets of a company under one name, and the run templates that use them.
CREATE TABLE credentials (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    company_id INTEGER NOT NULL REFERENCES company (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    credential_type_id INTEGER REFERENCES credential_type (id),
    created    INTEGER NOT NULL,
    UNIQUE (company_id, name)
) STRICT;
CREATE INDEX credentials_type ON credentials (credential_type_id);

CREATE TABLE credata (
    credential_id INTEGER NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
    name          TEXT NOT NULL,
    value         TEXT NOT NULL,
    key_id        TEXT,
    file_name     TEXT,
    PRIMARY KEY (credential_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE runtplcreds (
    runtemplate_id INTEGER NOT NULL REFERENCES runtemplate (id) ON DELETE CASCADE,
    credentials_id INTEGER NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
    PRIMARY KEY (runtemplate_id, credentials_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX runtplcreds_credential ON runtplcreds (credentials_id);

-- Schedulers that are there now: each renews `seen`. `address` is where the others reach it.
CREATE TABLE scheduler (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    address TEXT NOT NULL,
    seen    INTEGER NOT NULL
) STRICT;

-- `scheduler_id` is the scheduler that the agent is connected to, or was last.
CREATE TABLE agent (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    name      TEXT NOT NULL UNIQUE,
    instance  TEXT NOT NULL,
    boot      TEXT NOT NULL,
    slots     INTEGER NOT NULL,
    version   TEXT NOT NULL,
    labels    TEXT NOT NULL,
    last_seen INTEGER NOT NULL,
    scheduler_id INTEGER NOT NULL,
    connected INTEGER NOT NULL
) STRICT;

-- A waiting job can be claimed if `held` is null: else it waits for its time (`due`)
-- or for a place under a limit (`limit`). The claim takes the highest `priority` first,
-- then the lowest `rank`, which is given out so that companies take turns. `limited` is
-- 1 while it counts towards a limit, 2 once it has, 0 if there is none. `attempt` and
-- `fence` are those of the newest attempt; a change to a job on an agent names both and
-- its own state, in the changing statement.
CREATE TABLE job (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    runtemplate_id   INTEGER NOT NULL REFERENCES runtemplate (id),
    app_id           INTEGER NOT NULL REFERENCES apps (id),
    company_id       INTEGER NOT NULL REFERENCES company (id),
    env              TEXT NOT NULL,
    state            TEXT NOT NULL,
    attempt          INTEGER NOT NULL DEFAULT 0,
    fence            INTEGER NOT NULL DEFAULT 0,
    request_id       TEXT,
    request_index    INTEGER NOT NULL,
    created_by       TEXT NOT NULL,
    created          INTEGER NOT NULL,
    queued           INTEGER,
    ended            INTEGER,
    cancel_requested INTEGER,
    retries          INTEGER NOT NULL DEFAULT 0,
    priority         INTEGER NOT NULL,
    rank             INTEGER NOT NULL DEFAULT 0,
    due              INTEGER,
    held             TEXT,
    limited          INTEGER NOT NULL DEFAULT 0,
    UNIQUE (request_id, request_index)
) STRICT;
CREATE INDEX job_ready ON job (priority DESC, rank, id, held) WHERE state = 'queued' AND held IS NULL;
CREATE INDEX job_turn ON job (company_id, priority, rank) WHERE state = 'queued';
CREATE INDEX job_due ON job (due) WHERE state = 'queued' AND held = 'due';
CREATE INDEX job_limited ON job (company_id, runtemplate_id, held, priority DESC, rank, id) WHERE limited = 1;
CREATE INDEX job_active ON job (state) WHERE state IN ('loaded', 'offered', 'running', 'unreachable', 'finishing');
CREATE INDEX job_state ON job (state, id);
CREATE INDEX job_runtemplate ON job (runtemplate_id, id);
CREATE INDEX job_company ON job (company_id, id);
CREATE INDEX job_app ON job (app_id, id);
CREATE INDEX job_created ON job (created, id);
CREATE INDEX job_ended ON job (ended, id) WHERE ended IS NOT NULL;

-- What holds for the whole system. `queue_paused`: nothing is claimed; the value says
-- who wanted it.
CREATE TABLE setting (
    name    TEXT PRIMARY KEY,
    value   TEXT NOT NULL,
    changed INTEGER NOT NULL
) STRICT;

-- One try at running a job. `command` and `leftovers` are JSON; `queued` is when the job
-- entered the queue for it.
CREATE TABLE attempt (
    job_id            INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    number            INTEGER NOT NULL,
    fence             INTEGER NOT NULL,
    state             TEXT NOT NULL,
    agent_id          INTEGER NOT NULL REFERENCES agent (id),
    command           TEXT NOT NULL,
    queued            INTEGER NOT NULL,
    offered           INTEGER NOT NULL,
    started           INTEGER,
    unreachable       INTEGER,
    ended             INTEGER,
    exit_code         INTEGER,
    signal            INTEGER,
    pid               INTEGER,
    user_cpu_us       INTEGER,
    system_cpu_us     INTEGER,
    peak_memory_bytes INTEGER,
    stdout_bytes      INTEGER,
    stdout_sha256     TEXT,
    stderr_bytes      INTEGER,
    stderr_sha256     TEXT,
    log_length        INTEGER,
    leftovers         TEXT,
    trouble           TEXT,
    choice            TEXT,
    retry_due         INTEGER,
    PRIMARY KEY (job_id, number)
) STRICT, WITHOUT ROWID;
-- Most attempts succeed: what did not is found at once, and costs nothing where all do.
CREATE INDEX attempt_exit_code ON attempt (exit_code, job_id) WHERE exit_code <> 0;
CREATE INDEX attempt_agent ON attempt (agent_id, job_id);
CREATE INDEX attempt_active ON attempt (agent_id, state) WHERE state IN ('offered', 'running', 'unreachable', 'finishing');

-- What was decided about a job besides what its attempts say; rows are only added.
CREATE TABLE decision (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id  INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    what    TEXT NOT NULL,
    why     TEXT NOT NULL
) STRICT;
CREATE INDEX decision_job ON decision (job_id, id);

-- What follows when a job of a run template has ended: an action of the kind `module`, on
-- `mode` (success, fail, always). `configuration` is JSON like `job.env`: a value is text, or
-- an object if it is sealed. `leads_to` is the run template that it makes jobs of.
CREATE TABLE actionconfig (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    runtemplate_id INTEGER NOT NULL REFERENCES runtemplate (id) ON DELETE CASCADE,
    module         TEXT NOT NULL,
    mode           TEXT NOT NULL,
    position       INTEGER NOT NULL,
    configuration  TEXT NOT NULL,
    leads_to       INTEGER,
    created        INTEGER NOT NULL
) STRICT;
CREATE INDEX actionconfig_runtemplate ON actionconfig (runtemplate_id, position, id);

-- The actions of jobs that have ended, as they were configured then: what is to be done, and
-- then the record of it. `state` is pending, running, succeeded or failed. `due` is when it
-- may be begun, or begun again if whoever has it (under `fence`) does not say what came of
-- it; null while it waits for the one before it, and once it has ended.
CREATE TABLE action (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id          INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    attempt         INTEGER NOT NULL,
    actionconfig_id INTEGER NOT NULL,
    runtemplate_id  INTEGER NOT NULL,
    module          TEXT NOT NULL,
    position        INTEGER NOT NULL,
    configuration   TEXT NOT NULL,
    state           TEXT NOT NULL,
    fence           INTEGER NOT NULL DEFAULT 0,
    tries           INTEGER NOT NULL DEFAULT 0,
    due             INTEGER,
    created         INTEGER NOT NULL,
    started         INTEGER,
    ended           INTEGER,
    outcome         TEXT,
    UNIQUE (job_id, attempt, actionconfig_id)
) STRICT;
CREATE INDEX action_due ON action (due, id) WHERE state IN ('pending', 'running');
CREATE INDEX action_state ON action (state, id);

-- The stored log of an attempt: framed records from `start` on. Small chunks are
-- inline in `content`, others are the object of that name.
CREATE TABLE log_chunk (
    job_id     INTEGER NOT NULL,
    attempt    INTEGER NOT NULL,
    start      INTEGER NOT NULL,
    length     INTEGER NOT NULL,
    stdout_at  INTEGER NOT NULL,
    stderr_at  INTEGER NOT NULL,
    last_time  INTEGER NOT NULL,
    encoding   TEXT NOT NULL,
    content    BLOB,
    object     TEXT,
    PRIMARY KEY (job_id, attempt, start),
    FOREIGN KEY (job_id, attempt) REFERENCES attempt (job_id, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- `source` is file, stdout or stderr; the content of the latter two is the log.
-- `state` is uploading, stored or failed (then `note` says why).
CREATE TABLE artifacts (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id       INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    attempt      INTEGER NOT NULL,
    source       TEXT NOT NULL,
    filename     TEXT NOT NULL,
    content_type TEXT NOT NULL,
    content      BLOB,
    size         INTEGER NOT NULL,
    sha256       TEXT,
    note         TEXT NOT NULL,
    state        TEXT NOT NULL,
    created      INTEGER NOT NULL,
    UNIQUE (job_id, attempt, source, filename)
) STRICT;
-- Every job has stdout and stderr: these are not in it.
CREATE INDEX artifacts_type ON artifacts (content_type, id) WHERE source = 'file';
CREATE INDEX artifacts_failed ON artifacts (id) WHERE state = 'failed';

-- The content of an artifact that is too large to be inline: objects in order.
CREATE TABLE artifact_part (
    artifact_id INTEGER NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
    start       INTEGER NOT NULL,
    length      INTEGER NOT NULL,
    object      TEXT NOT NULL,
    PRIMARY KEY (artifact_id, start)
) STRICT, WITHOUT ROWID;

-- What was imported from another system: its id there and its own here. `brought` is what
-- it said there when that was last taken over, JSON, so that the next import can tell what
-- has changed there from what has changed here; sealed with `key_id` if there are secrets
-- in it. A row outlives what it speaks of: what was deleted here is not imported again.
CREATE TABLE adopted (
    source    TEXT NOT NULL,
    kind      TEXT NOT NULL,
    source_id INTEGER NOT NULL,
    own_id    INTEGER NOT NULL,
    brought   TEXT NOT NULL,
    key_id    TEXT,
    imported  INTEGER NOT NULL,
    PRIMARY KEY (source, kind, source_id)
) STRICT, WITHOUT ROWID;

-- A database of a PHP MultiFlexi as tests need it: of an older version (tables and columns
-- are missing), with MyISAM and latin1, and with everything in it that can be wrong.
-- ~ stands for a zero byte where PHP's serialize() writes one.

CREATE TABLE company (
    id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, enabled TINYINT(1) DEFAULT 0,
    name VARCHAR(64) DEFAULT NULL, ic VARCHAR(32) DEFAULT NULL, slug VARCHAR(10) NOT NULL DEFAULT ''
) ENGINE=MyISAM DEFAULT CHARSET=latin1;
INSERT INTO company (id, enabled, name, ic, slug) VALUES
    (11, 1, 'Café "Olé" & Söhne''s', '123', 'CAFÉ'),
    (12, 0, NULL, NULL, ''),
    (13, 0, 'Café "Olé" & Söhne''s', NULL, 'other'),
    (14, 0, CONCAT('Tab', CHAR(9), 'bed'), NULL, 'other');

CREATE TABLE companyenv (
    id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, keyword VARCHAR(255) NOT NULL,
    value LONGTEXT NOT NULL, company_id INT UNSIGNED NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO companyenv (keyword, value, company_id) VALUES
    ('GREETING', 'company', 11),
    ('EMOJI', '🐎 "quoted" ''and'' {GREETING}', 11),
    ('1BAD', 'x', 11),
    ('ZERO', CONCAT('a', CHAR(0), 'b'), 11),
    ('HUGE', REPEAT('x', 3000000), 11),
    ('APP_PASSWORD', 'hunter2-of-the-company', 11),
    ('LOST', 'of no company', 99);

CREATE TABLE apps (
    id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, enabled TINYINT(1) DEFAULT 0,
    image LONGTEXT NOT NULL, name VARCHAR(64) NOT NULL DEFAULT '', description VARCHAR(255),
    executable VARCHAR(255), cmdparams VARCHAR(256), homepage VARCHAR(255),
    requirements VARCHAR(255), version VARCHAR(255) DEFAULT '', code VARCHAR(8),
    uuid VARCHAR(36), tags TEXT, deffile VARCHAR(255)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO apps (id, image, name, description, executable, cmdparams, homepage, requirements,
        version, code, uuid, tags, deffile) VALUES
    (21, '', 'Echo', 'says "it"', '/bin/echo', '{GREETING} ''a b''', 'https://echo.example/',
        'Bank', '1.2', 'ECHO', 'aaaaaaaa-1111-4111-8111-111111111111', 'a,b', '/nowhere/echo.json'),
    (22, '', 'Unclosed', 'd', '/bin/sh', '-c ''open', '', '', '', 'OPEN', NULL, '', '/nowhere/2'),
    (23, '', 'Odd', NULL, 'php -f x.php', '> out', 'gopher://x', '', 'v1', 'ODD', 'no uuid', '', NULL);

CREATE TABLE app_translations (
    id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, app_id INT UNSIGNED NOT NULL,
    lang VARCHAR(5) NOT NULL, name VARCHAR(255), title VARCHAR(255), description TEXT
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO app_translations (app_id, lang, name, description) VALUES (21, 'cs', 'Ozvěna', 'říká');

CREATE TABLE conffield (
    id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, app_id INT UNSIGNED NOT NULL,
    keyname VARCHAR(64), type VARCHAR(32), description VARCHAR(1024), defval VARCHAR(256),
    required TINYINT(1) NOT NULL DEFAULT 0, secret TINYINT(1) NOT NULL DEFAULT 0
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO conffield (app_id, keyname, type, description, defval, required, secret) VALUES
    (21, 'GREETING', 'text', 'what', 'default', 1, 0),
    (21, 'APP_PASSWORD', 'password', 'secret', NULL, 0, 0),
    (21, 'COUNT', 'integer', 'how many', 'many', 0, 0),
    (21, 'ODD', 'oddity', 'odd', NULL, 0, 0),
    (21, 'NO NAME', 'string', 'bad', NULL, 0, 0),
    (99, 'LOST', 'string', 'of no application', NULL, 0, 0);

CREATE TABLE app_exit_codes (
    id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, app_id INT UNSIGNED NOT NULL,
    exit_code INT UNSIGNED NOT NULL, lang VARCHAR(5) NOT NULL, description BLOB NOT NULL,
    severity VARCHAR(20) NOT NULL DEFAULT 'error', retry TINYINT(1) NOT NULL DEFAULT 0
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO app_exit_codes (app_id, exit_code, lang, description, severity) VALUES
    (21, 3, 'en', 'nobody listens', 'warning'),
    (21, 4, 'en', x'6e6ffffe', 'error');

CREATE TABLE runtemplate (
    id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, app_id INT UNSIGNED NOT NULL,
    company_id INT UNSIGNED NOT NULL, interv VARCHAR(1) NOT NULL, success VARCHAR(250),
    fail VARCHAR(250), name VARCHAR(250), delay INT NOT NULL DEFAULT 0,
    executor VARCHAR(255) NOT NULL DEFAULT 'Native', active TINYINT(1) DEFAULT 1,
    cron VARCHAR(64), note TEXT
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO runtemplate (id, app_id, company_id, interv, success, fail, name, delay, executor,
        active, cron, note) VALUES
    (31, 21, 11, 'd', 'a:2:{s:7:"WebHook";b:1;s:5:"Sleep";b:0;}', 'O:garbage', 'Nightly "echo"',
        60, 'Docker', 0, '0 2 * * *', 'kept'),
    (32, 21, 11, 'n', 'a:1:{s:7:"WebHook";b:1;}', 'a:1:{s:12:"RedmineIssue";b:1;}',
        'Nightly "echo"', 0, 'Native', 1, NULL, NULL),
    (33, 22, 11, 'n', NULL, NULL, 'of what was refused', 0, 'Native', 1, NULL, NULL),
    (34, 21, 99, 'n', NULL, NULL, 'of nobody', 0, 'Native', 1, NULL, NULL),
    (35, 23, 13, 'n', NULL, NULL, NULL, 0, 'Native', 1, NULL, NULL);

CREATE TABLE actionconfig (
    id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, module VARCHAR(255), keyname VARCHAR(255),
    value VARCHAR(255), mode VARCHAR(10), runtemplate_id INT UNSIGNED NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO actionconfig (module, keyname, value, mode, runtemplate_id) VALUES
    ('WebHook', 'uri', 'https://example.org/hunter2-in-the-path?x=1', 'success', 32),
    ('WebHook', 'uri', 'https://example.org/when-it-fails', 'fail', 32),
    ('RedmineIssue', 'url', 'https://redmine.example.org', 'fail', 32),
    ('RedmineIssue', 'token', 'hunter2-of-redmine', 'fail', 32),
    ('RedmineIssue', 'project_id', 'books', 'fail', 32),
    ('RedmineIssue', 'colour', 'red', 'fail', 32);

CREATE TABLE configuration (
    id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, app_id INT UNSIGNED NOT NULL,
    company_id INT UNSIGNED NOT NULL, name VARCHAR(64), value VARCHAR(1024),
    runtemplate_id INT UNSIGNED NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO configuration (app_id, company_id, name, value, runtemplate_id) VALUES
    (21, 11, 'GREETING', 'template', 31),
    (21, 11, 'APP_PASSWORD', 'hunter2-of-the-template', 31),
    (21, 11, 'BANK_TOKEN', 'hunter2-also-here', 31),
    (21, 11, 'NULLED', NULL, 31),
    (21, 11, 'BAD-NAME', 'x', 31),
    (21, 11, 'LOST', 'x', 99);

CREATE TABLE file_store (
    id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, job_id INT UNSIGNED, runtemplate_id INT UNSIGNED,
    field VARCHAR(255), file_name VARCHAR(255), file_path VARCHAR(255), file_data LONGBLOB
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO file_store (runtemplate_id, field, file_name, file_data) VALUES
    (31, 'CERT', 'a b.pem', x'00ff0a'),
    (31, 'UP', '../up', 'x'),
    (31, 'LARGE', 'large', REPEAT('x', 6000000));

CREATE TABLE credential_type (
    id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, name VARCHAR(255), uuid VARCHAR(40),
    prototype VARCHAR(255), company_id INT UNSIGNED NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO credential_type (id, name, prototype, company_id) VALUES
    (41, 'The bank', 'MultiFlexi\\CredentialType\\Bank', 11),
    (42, 'The bank of others', 'MultiFlexi\\CredentialType\\Bank', 13),
    (43, 'Another bank', 'MultiFlexi\\CredentialType\\Bank', 13);
CREATE TABLE crtypefield (
    id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, credential_type_id INT UNSIGNED NOT NULL,
    keyname VARCHAR(64), type VARCHAR(32), description VARCHAR(1024), hint VARCHAR(256),
    defval VARCHAR(256), required TINYINT(1) NOT NULL DEFAULT 0
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO crtypefield (credential_type_id, keyname, type, defval, required) VALUES
    (41, 'BANK_TOKEN', 'password', NULL, 1), (41, 'BANK_PORT', 'integer', 'none', 0),
    (42, 'BANK_TOKEN', 'password', NULL, 1), (42, 'BANK_PORT', 'integer', 'none', 0),
    (43, 'OTHER', 'oddity', NULL, 0);
CREATE TABLE credentials (
    id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, name VARCHAR(255), company_id INT,
    credential_type_id INT UNSIGNED NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO credentials (id, name, company_id, credential_type_id) VALUES
    (51, 'bank', 11, 41), (52, 'bank', 11, 41), (53, 'of nobody', 99, 41), (54, NULL, 13, 42);
CREATE TABLE credata (
    id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, credential_id INT, name VARCHAR(255),
    value VARCHAR(255), type VARCHAR(255)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO credata (credential_id, name, value) VALUES
    (51, 'BANK_TOKEN', 'hunter2-of-the-bank'), (51, 'BANK_PORT', '443'),
    (52, 'BANK_TOKEN', '{"ciphertext":"AAAA","iv":"BBBB","tag":"CCCC","key":"credentials"}'),
    (54, 'BANK_TOKEN', 'hunter2-of-others'), (54, 'BANK PORT', 'hunter2-in-vain');
CREATE TABLE runtplcreds (
    id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, runtemplate_id INT UNSIGNED NOT NULL,
    credentials_id INT UNSIGNED NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO runtplcreds (runtemplate_id, credentials_id) VALUES
    (31, 51), (31, 53), (32, 54), (99, 51);

CREATE TABLE user (
    id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, login VARCHAR(64)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO user (id, login) VALUES (1, 'ředitel');

CREATE TABLE job (
    id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, app_id INT UNSIGNED NOT NULL,
    begin TIMESTAMP NULL DEFAULT NULL, `end` DATETIME DEFAULT NULL,
    company_id INT UNSIGNED NOT NULL, exitcode INT, launched_by INT, env MEDIUMBLOB, command TEXT,
    schedule TIMESTAMP NULL DEFAULT NULL, executor VARCHAR(255) DEFAULT 'Native',
    runtemplate_id INT UNSIGNED, schedule_type VARCHAR(255), pid INT
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO job (id, app_id, begin, `end`, company_id, exitcode, launched_by, command, schedule,
        runtemplate_id, pid, executor) VALUES
    (61, 21, '2025-03-01 10:00:05', '2025-03-01 10:00:15', 11, 0, 1,
        'echo hunter2-of-the-job "x"', '2025-03-01 10:00:00', 31, 4711, 'Native'),
    (62, 21, '2025-03-02 10:00:00', '2025-03-02 10:00:01', 11, 3, 7, '', NULL, 31, NULL, 'Docker'),
    (63, 21, '2025-03-03 10:00:00', NULL, 11, NULL, 1, 'x', NULL, 31, NULL, 'Native'),
    (64, 21, NULL, NULL, 11, NULL, 1, 'x', '2035-01-01 00:00:00', 31, NULL, 'Native'),
    (65, 21, '2025-03-03 10:00:00', '2025-03-03 10:00:00', 11, 0, 1, 'x', NULL, NULL, NULL, 'Native'),
    (66, 22, '2025-03-03 10:00:00', '2025-03-03 10:00:00', 11, 0, 1, 'x', NULL, 33, NULL, 'Native'),
    (67, 21, '2025-03-04 10:00:00', '2025-03-04 10:00:00', 11, NULL, NULL, NULL, NULL, 32, NULL, 'Native'),
    (68, 21, '2025-03-05 10:00:00', '2025-03-05 09:00:00', 11, 255, 1, 'x', NULL, 31, NULL, 'Native');
UPDATE job SET env = REPLACE('O:23:"MultiFlexi\\ConfigFields":1:{s:31:"~MultiFlexi\\ConfigFields~fields";a:4:{s:8:"GREETING";O:22:"MultiFlexi\\ConfigField":3:{s:29:"~MultiFlexi\\ConfigField~value";s:42:"Žluťoučký "kůň" ''; DROP TABLE job;--";s:32:"~MultiFlexi\\ConfigField~isSecret";b:0;s:30:"~MultiFlexi\\ConfigField~source";s:11:"Application";}s:12:"APP_PASSWORD";O:22:"MultiFlexi\\ConfigField":3:{s:29:"~MultiFlexi\\ConfigField~value";s:18:"hunter2-of-the-job";s:32:"~MultiFlexi\\ConfigField~isSecret";b:1;s:30:"~MultiFlexi\\ConfigField~source";s:11:"Application";}s:17:"MULTIFLEXI_JOB_ID";O:22:"MultiFlexi\\ConfigField":3:{s:29:"~MultiFlexi\\ConfigField~value";s:1:"1";s:32:"~MultiFlexi\\ConfigField~isSecret";b:0;s:30:"~MultiFlexi\\ConfigField~source";s:11:"Application";}s:4:"1BAD";O:22:"MultiFlexi\\ConfigField":3:{s:29:"~MultiFlexi\\ConfigField~value";s:1:"x";s:32:"~MultiFlexi\\ConfigField~isSecret";b:0;s:30:"~MultiFlexi\\ConfigField~source";s:11:"Application";}}}', '~', CHAR(0)) WHERE id = 61;
UPDATE job SET env = 'O:23:"MultiFlexi\\ConfigFields":4:{s:5:"de' WHERE id = 62;
UPDATE job SET env = REPEAT('a:1:{i:0;', 100000) WHERE id = 68;

CREATE TABLE job_output_lines (
    id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, job_id INT UNSIGNED NOT NULL,
    seq INT UNSIGNED NOT NULL DEFAULT 0, type VARCHAR(16) NOT NULL DEFAULT 'stdout',
    line LONGBLOB NOT NULL, created_at DATETIME(6) NOT NULL, KEY (job_id, seq)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO job_output_lines (job_id, seq, type, line, created_at) VALUES
    (61, 2, 'stderr', 'second\n', '2025-03-01 10:00:06.000002'),
    (61, 1, 'stdout', 'první\n', '2025-03-01 10:00:06.000001'),
    (61, 3, 'stdout', x'ff00fe0a', '2025-03-01 10:00:06.000003'),
    (61, 4, 'info', 'fourth\n', '2025-03-01 10:00:06.000004'),
    (99, 1, 'stdout', 'of no job', '2025-03-01 10:00:06');
INSERT INTO job_output_lines (job_id, seq, type, line, created_at)
    SELECT 62, seq, IF(seq % 2, 'stdout', 'stderr'), CONCAT(seq, REPEAT(' ž', 20000), '\n'),
    '2025-03-02 10:00:00' FROM seq_1_to_80;

CREATE TABLE artifacts (
    id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, job_id INT UNSIGNED, filename VARCHAR(255),
    content_type VARCHAR(255) DEFAULT 'text/plain', artifact LONGTEXT,
    created_at TIMESTAMP NULL DEFAULT NULL, note VARCHAR(255)
) ENGINE=InnoDB DEFAULT CHARSET=latin1;
INSERT INTO artifacts (job_id, filename, content_type, artifact, created_at, note) VALUES
    (61, 'result.json', 'application/json', '{"café": true}', '2025-03-01 10:00:14', 'the result'),
    (61, 'result.json', 'no mime', 'again', NULL, NULL),
    (61, '/tmp/../x', NULL, NULL, NULL, NULL),
    (62, 'large.txt', 'text/plain', REPEAT('0123456789', 600000), NULL, NULL),
    (99, 'lost', 'text/plain', 'of no job', NULL, NULL);

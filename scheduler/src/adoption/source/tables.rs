//! The tables and columns of the PHP MultiFlexi that are read.

/// What a value is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Number,
    /// A text.
    Text,
    /// A text whose bytes are kept as they are.
    Bytes,
    /// The content of a file.
    Blob,
    /// A time.
    Time,
    /// How many bytes a value has, and not the value.
    Size,
}

use Kind::{Blob, Bytes, Number, Size, Text, Time};

/// A table, with its columns besides `id`.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The columns that are read of it.
    pub columns: &'static [(&'static str, Kind)],
    /// Every MultiFlexi has it.
    pub needed: bool,
}

macro_rules! tables {
    ($($(#[$doc:meta])* $constant:ident = $name:literal $needed:literal:
        $($column:literal $kind:ident),+;)+) => {
        $(
            $(#[$doc])*
            pub const $constant: Table =
                Table { name: $name, columns: &[$(($column, $kind)),+], needed: $needed };
        )+
        /// All that are read.
        pub const ALL: &[Table] = &[$($constant),+];
    };
}

tables! {
    /// Companies.
    COMPANY = "company" true: "name" Text, "slug" Text, "ic" Text, "email" Text,
        "zabbix_host" Text, "enabled" Number;
    /// Variables of companies.
    COMPANYENV = "companyenv" false: "company_id" Number, "keyword" Text, "value" Text;
    /// Applications.
    APPS = "apps" true: "name" Text, "description" Text, "executable" Text, "cmdparams" Text,
        "setup" Text, "deploy" Text, "homepage" Text, "requirements" Text, "ociimage" Text,
        "version" Text, "code" Text, "uuid" Text, "tags" Text, "resultfile" Text,
        "artifacts" Text, "deffile" Text, "helmchart" Text, "image" Text;
    /// Texts of applications in other languages.
    APP_TRANSLATIONS = "app_translations" false: "app_id" Number, "lang" Text, "name" Text,
        "title" Text, "description" Text;
    /// Variables that applications declare.
    CONFFIELD = "conffield" false: "app_id" Number, "keyname" Text, "type" Text,
        "category" Text, "description" Text, "hint" Text, "defval" Text, "required" Number,
        "secret" Number, "multiline" Number;
    /// Files that applications leave.
    APP_ARTIFACTS = "app_artifacts" false: "app_id" Number, "path" Text, "type" Text;
    /// Texts of them.
    APP_ARTIFACT_TRANSLATIONS = "app_artifact_translations" false: "app_artifact_id" Number,
        "lang" Text, "name" Text, "description" Text;
    /// What exit codes mean.
    APP_EXIT_CODES = "app_exit_codes" false: "app_id" Number, "exit_code" Number, "lang" Text,
        "description" Text, "severity" Text, "retry" Number;
    /// What applications hand on.
    APP_PRODUCES = "app_produces" false: "app_id" Number, "name" Text, "format" Text,
        "description_json" Text, "patterns_json" Text, "fields_json" Text;
    /// What applications take.
    APP_CONSUMES = "app_consumes" false: "app_id" Number, "name" Text, "format" Text,
        "description_json" Text, "required" Number, "target_env_key" Text, "fields_json" Text;
    /// Run templates.
    RUNTEMPLATE = "runtemplate" true: "app_id" Number, "company_id" Number, "name" Text,
        "interv" Text, "cron" Text, "delay" Number, "executor" Text, "active" Number,
        "success" Bytes, "fail" Bytes, "note" Text, "deadline_offset" Text,
        "max_attempts" Number, "retry_backoff" Text, "retry_min_gap" Number,
        "allow_late" Number;
    /// Their variables.
    CONFIGURATION = "configuration" false: "runtemplate_id" Number, "name" Text, "value" Text,
        "config_type" Text;
    /// Their files.
    FILE_STORE = "file_store" false: "runtemplate_id" Number, "field" Text, "file_name" Text,
        "file_data" Blob;
    /// What their actions are set to.
    ACTIONCONFIG = "actionconfig" false: "runtemplate_id" Number, "module" Text, "mode" Text,
        "keyname" Text, "value" Text;
    /// Prototypes of types of credentials.
    CREDENTIAL_PROTOTYPE = "credential_prototype" false: "uuid" Text, "code" Text, "name" Text,
        "description" Text, "version" Text, "url" Text, "homepage" Text, "tags" Text,
        "logo" Text;
    /// Their fields.
    CREDENTIAL_PROTOTYPE_FIELD = "credential_prototype_field" false:
        "credential_prototype_id" Number, "keyword" Text, "type" Text, "name" Text,
        "description" Text, "hint" Text, "default_value" Text, "required" Number,
        "options" Text;
    /// Types of credentials.
    CREDENTIAL_TYPE = "credential_type" false: "name" Text, "url" Text, "logo" Text,
        "uuid" Text, "prototype" Text, "company_id" Number, "version" Text;
    /// Their fields.
    CRTYPEFIELD = "crtypefield" false: "credential_type_id" Number, "keyname" Text, "type" Text,
        "description" Text, "hint" Text, "defval" Text, "required" Number;
    /// Their own values.
    CREDTYPEDATA = "credtypedata" false: "credential_type_id" Number, "name" Text,
        "value" Text;
    /// Credentials.
    CREDENTIALS = "credentials" false: "name" Text, "company_id" Number,
        "credential_type_id" Number;
    /// Their values.
    CREDATA = "credata" false: "credential_id" Number, "name" Text, "value" Text, "type" Text,
        "is_encrypted" Number;
    /// The run templates that use them.
    RUNTPLCREDS = "runtplcreds" false: "runtemplate_id" Number, "credentials_id" Number;
    /// Users.
    USER = "user" false: "login" Text;
    /// Jobs.
    JOB = "job" true: "app_id" Number, "begin" Time, "end" Time, "company_id" Number,
        "exitcode" Number, "launched_by" Number, "env" Bytes, "command" Text, "schedule" Time,
        "executor" Text, "runtemplate_id" Number, "schedule_type" Text, "pid" Number;
    /// What jobs have written.
    JOB_OUTPUT_LINES = "job_output_lines" false: "job_id" Number, "seq" Number, "type" Text,
        "line" Bytes, "created_at" Time;
    /// The files that jobs have left.
    ARTIFACTS = "artifacts" false: "job_id" Number, "filename" Text, "content_type" Text,
        "artifact" Size, "created_at" Time, "note" Text;
}

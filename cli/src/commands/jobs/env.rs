//! `job:env`.

use multiflexi_proto::v1::{GetJobEnvironmentRequest, JobVariable};
use serde_json::json;

use crate::{
    commands::variables,
    connect::Server,
    failure::Failure,
    output::{Format, List, Output, json, remark},
};

/// Shows the variables of a job's process, each with who gives it.
pub async fn env(server: &Server, output: Output, job_id: i64) -> Result<(), Failure> {
    let request = GetJobEnvironmentRequest { job_id };
    let answer = server.jobs().get_job_environment(request).await?.into_inner();
    let value = |variable: &JobVariable| {
        json!({
            "name": variable.name,
            "value": variable.value,
            "layer": variable.layer,
            "overridden": variable.overridden,
            "secret": variable.secret,
            "file_name": json::text(&variable.file_name),
            "size_bytes": (!variable.file_name.is_empty()).then_some(variable.size_bytes),
        })
    };
    let row = |variable: &JobVariable| {
        let JobVariable { name, layer, overridden, file_name, size_bytes, .. } = variable;
        let value = match file_name.as_str() {
            "" => variable.value.clone(),
            file => format!("<{}>", variables::file_text(file, *size_bytes)),
        };
        vec![name.clone(), value, layer.clone(), overridden.join(", ")]
    };
    let list = List {
        values: answer.variables.iter().map(value).collect(),
        rows: answer.variables.iter().map(row).collect(),
        ..List::default()
    };
    output.list("variables", &["NAME", "VALUE", "FROM", "INSTEAD OF"], list)?;
    if output.is_chatty() && !answer.note.is_empty() {
        remark(&answer.note);
    }
    if output.format == Format::Text && !answer.trouble.is_empty() {
        remark(&format!("it cannot be run so: {}", answer.trouble));
    }
    Ok(())
}

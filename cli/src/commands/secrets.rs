//! `secret:rotate-key`.

use multiflexi_program::counted;
use multiflexi_proto::v1::RotateKeyRequest;
use serde_json::json;

use super::progress_bar;
use crate::{connect::Server, failure::Failure, output::Output};

/// Seals all secrets with a new key.
pub async fn rotate_key(server: &Server, output: Output) -> Result<(), Failure> {
    let mut answers = server.secrets().rotate_key(RotateKeyRequest {}).await?.into_inner();
    let bar = progress_bar("{spinner} {pos} secrets, {elapsed}");
    let mut secrets = 0_i64;
    while let Some(answer) = answers.message().await? {
        secrets = answer.secrets;
        bar.set_position(secrets.unsigned_abs());
    }
    bar.finish_and_clear();
    let sentence = format!("sealed {} with a new key", counted(secrets, "secret"));
    output.done(&json!({ "secrets": secrets }), &sentence)
}

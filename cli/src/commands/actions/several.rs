//! `action:retry`, `action:cancel`: one action of an ended job, or all of some.

use clap::Args;
use multiflexi_proto::v1::{
    CancelPerformedActionRequest, PerformedAction, RetryPerformedActionRequest,
};
use serde_json::json;
use tonic::{Code, Status};

use super::performed::{Filter, page};
use crate::{
    arguments, commands::resource::given, connect::Server, failure::Failure, output::Output,
};

/// Actions on a page.
const PAGE: i32 = 1_000;

/// Which actions of ended jobs a command is about.
#[derive(Debug, Args)]
pub struct Several {
    /// The id of an action of an ended job
    #[arg(value_parser = arguments::id, required_unless_present_any = ["named", "state"],
        conflicts_with_all = ["named", "state"], value_name = "ID")]
    id: Option<i64>,
    /// The same, as the PHP MultiFlexi's command line has it
    #[arg(long = "id", id = "named", value_parser = arguments::id, conflicts_with = "state",
        value_name = "ID")]
    named: Option<i64>,
    /// Only those that follow jobs of this run template
    #[arg(long, alias = "runtemplate_id", value_parser = arguments::id, value_name = "ID",
        requires = "state")]
    template: Option<i64>,
    /// Only those that follow jobs of this company
    #[arg(long, alias = "company_id", value_parser = arguments::id, value_name = "ID",
        requires = "state")]
    company: Option<i64>,
    #[command(flatten)]
    filter: Filter,
    /// Only say how many there are
    #[arg(long, requires = "state")]
    dry_run: bool,
}

/// What is done with them.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    /// They are done again.
    Retry,
    /// They are left undone.
    Cancel,
}

impl Deed {
    async fn to(self, server: &Server, id: i64) -> Result<Option<PerformedAction>, Status> {
        let mut client = server.actions();
        match self {
            Self::Retry => {
                let request = RetryPerformedActionRequest { performed_action_id: id };
                Ok(client.retry_performed_action(request).await?.into_inner().action)
            }
            Self::Cancel => {
                let request = CancelPerformedActionRequest { performed_action_id: id };
                Ok(client.cancel_performed_action(request).await?.into_inner().action)
            }
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Retry => "queued",
            Self::Cancel => "cancelled",
        }
    }
}

impl Several {
    /// Does it to one, or to each that there is.
    pub async fn run(self, deed: Deed, server: &Server, output: Output) -> Result<(), Failure> {
        match self.id.or(self.named) {
            Some(id) => {
                let action = given(deed.to(server, id).await.map_err(of_jobs)?)?;
                output.done_to(deed.done(), Some(action))
            }
            None => self.all(deed, server, output).await,
        }
    }

    async fn all(self, deed: Deed, server: &Server, output: Output) -> Result<(), Failure> {
        let mut request = self.filter.request(None);
        request.run_template_id = self.template.unwrap_or_default();
        request.company_id = self.company.unwrap_or_default();
        request.page_size = PAGE;
        let (mut done, mut refused) = (Vec::new(), 0_usize);
        loop {
            let found = page(server, request.clone()).await?;
            for action in found.actions {
                if self.dry_run {
                    done.push(action.id);
                    continue;
                }
                match deed.to(server, action.id).await {
                    Ok(_) => done.push(action.id),
                    // It is otherwise by now, or waits for the one before it.
                    Err(status) if is_answer(&status) => refused += 1,
                    Err(status) => return Err(status.into()),
                }
            }
            request.page_token = found.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        let count = done.len();
        let things = if count == 1 { "action" } else { "actions" };
        let sentence = match (self.dry_run, refused) {
            (true, _) => format!("{count} {things} of jobs would be {}", deed.done()),
            (false, 0) => format!("{} {count} {things} of jobs", deed.done()),
            (false, refused) => format!(
                "{} {count} {things} of jobs; {refused} more could not be, as action:list says",
                deed.done()
            ),
        };
        let value = json!({ "changed": count, "refused": refused, "dry_run": self.dry_run });
        output.done_to_all(&done, &value, &sentence)
    }
}

fn is_answer(status: &Status) -> bool {
    matches!(status.code(), Code::NotFound | Code::FailedPrecondition)
}

/// Says which ids are meant: those of actions of run templates and companies are others.
fn of_jobs(status: Status) -> Failure {
    let about_ids = is_answer(&status);
    let failure = Failure::from(status);
    if !about_ids {
        return failure;
    }
    failure.hint(
        "this is about actions of jobs that have ended: action:list --job ID or --state STATE has \
         their ids; those that run templates and companies have (action:list) are changed with \
         action:update and action:delete",
    )
}

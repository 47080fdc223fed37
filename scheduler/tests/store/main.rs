//! The store's conformance suite: what every database must do. It runs on SQLite
//! everywhere, and on a PostgreSQL and a MariaDB server of its own where these are installed.

#![allow(clippy::unwrap_used, reason = "all of this is tests")]

mod cases;
mod databases;
mod world;

use databases::{Database, Sqlite};

macro_rules! suite {
    ($($group:ident :: { $($case:ident),+ $(,)? })+) => {
        mod on_sqlite {
            $($(
                #[test]
                fn $case() {
                    super::databases::block_on(super::cases::$group::$case(super::Sqlite::boxed()));
                }
            )+)+
        }

        /// Name and body of every case.
        fn run_all(database: &mut dyn FnMut() -> Box<dyn Database>) -> u32 {
            let mut run = 0;
            $($(
                println!("{}", stringify!($case));
                databases::block_on(cases::$group::$case(database()));
                run += 1;
            )+)+
            run
        }
    };
}

suite! {
    catalogue::{
        names_are_unique_and_unknown_ids_are_named,
        run_templates_keep_their_variables,
        what_is_changed_is_changed_and_the_rest_stays,
        what_something_depends_on_is_not_deleted,
        lists_are_paged_without_gaps,
    }
    queue::{
        a_batch_of_jobs_is_created_under_one_request_id,
        a_job_of_another_company_is_refused,
        two_claims_never_take_the_same_job,
        the_queue_counts_every_state,
        vitals_say_what_waits_for_what_and_how_long,
    }
    turns::{
        the_higher_priority_is_claimed_first,
        companies_take_turns,
        no_more_run_at_once_than_the_limits_allow,
        a_companys_limit_holds_for_all_its_templates,
        a_job_waits_for_its_time,
        a_paused_queue_hands_out_nothing,
        what_has_failed_is_cleared_and_nothing_else,
        a_limit_that_changes_holds_at_once,
    }
    attempts::{
        a_job_goes_through_its_life,
        a_stale_fence_changes_nothing,
        a_finished_attempt_never_changes,
        running_again_makes_the_next_attempt,
        an_offer_that_is_withdrawn_costs_no_attempt,
        cancelling_ends_what_waits_and_marks_what_runs,
        agents_that_come_back_are_reconciled,
        what_was_accepted_and_never_launched_is_queued_again,
        an_agents_memory_is_told_from_anothers,
        what_stays_away_is_lost_only_after_its_time,
        a_job_that_cannot_begin_fails_with_its_reason,
        a_retry_is_queued_with_the_end_and_claimed_when_it_is_due,
        what_was_cancelled_is_not_retried,
    }
    contents::{
        a_late_shorter_chunk_never_replaces_a_longer_one,
        logs_are_found_by_byte_and_by_time,
        artifacts_are_stored_inline_and_in_parts,
        a_broken_artifact_is_on_record_beside_the_others,
        deleting_a_job_leaves_nothing_behind,
        rows_tell_page_by_page_which_objects_they_refer_to,
        the_object_store_is_remembered_once_and_can_be_renamed,
    }
    actions::{
        an_end_for_good_is_followed_by_the_actions_for_it,
        actions_of_a_job_are_done_one_after_the_other,
        a_claim_that_ran_out_is_taken_over_and_its_record_is_refused,
        what_has_no_place_is_put_off_and_says_why,
        a_companys_actions_follow_the_jobs_of_all_its_run_templates,
        a_condition_is_asked_of_each_end,
        what_has_failed_is_done_again_when_somebody_says_so,
        what_waits_for_its_next_try_is_done_now_and_as_it_is_told_now,
        what_is_cancelled_is_not_done_and_the_next_is,
        a_job_is_not_removed_before_what_follows_it_is_done,
        what_an_action_is_told_is_sealed_anew,
        settings_that_are_secret_now_are_sealed,
        what_cannot_be_done_is_on_record_with_its_reason,
        run_templates_do_not_launch_each_other_for_ever,
        a_run_template_is_run_again_by_one_job_that_waits,
        what_can_be_tried_again_is_tried_again_and_the_rest_is_not,
        schedulers_that_share_a_database_do_each_action_once,
    }
    declared::{
        what_becomes_secret_is_sealed_in_steps_that_outlive_a_kill,
        a_company_that_comes_later_has_secrets_too,
        definitions_with_secrets_in_them_are_sealed,
    }
    ends::{
        every_end_for_good_is_counted_by_how_it_was,
        what_is_said_at_once_by_several_is_done_once,
        an_attempt_that_is_retried_is_not_counted,
        schedulers_that_share_a_database_count_together,
    }
    events::{
        every_state_that_a_job_comes_into_is_told_in_order,
        events_that_are_too_many_are_removed_and_that_is_said,
    }
    lists::{
        a_list_is_filtered_and_sorted_in_pages_without_gaps,
        a_page_goes_on_where_a_row_has_gone,
        applications_are_found_by_what_they_say,
        run_templates_are_found_by_company_and_application,
        agents_are_found_by_their_labels,
        artifacts_of_all_jobs_are_found,
        what_is_rare_is_found_in_pages_that_end,
        jobs_are_found_by_several_things_at_once,
    }
    adopted::{
        ids_that_were_never_given_out_are_kept,
        a_job_that_ran_elsewhere_is_here_as_it_ended,
        what_was_brought_is_sealed_and_sealed_anew,
    }
    schedules::{
        a_slot_is_fired_once_with_its_job,
        what_was_missed_is_caught_up_as_told,
        a_run_that_has_not_ended_meets_the_next_as_told,
        an_inactive_run_template_starts_nothing,
        what_contradicts_itself_is_refused_and_changes_nothing,
        what_a_clock_that_was_ahead_has_silenced_is_known_and_begins_anew,
        the_oldest_slots_are_forgotten,
    }
    schema::{
        a_newer_schema_is_refused,
        refused_changes_do_not_spoil_their_neighbours,
        a_database_of_others_is_refused_and_stays_as_it_is,
    }
    zabbix::{
        zabbix_is_told_from_where_it_was_left,
        what_is_told_of_an_event_is_what_is_known_of_its_job,
        the_gauges_count_what_waits_and_for_how_long,
        what_zabbix_is_still_to_be_told_is_not_removed,
        one_scheduler_tells_zabbix_and_another_when_it_is_gone,
    }
}

#[test]
fn every_earlier_schema_is_brought_up_to_date_with_its_data() {
    databases::block_on(cases::schema::every_earlier_schema_is_brought_up_to_date_with_its_data(
        Sqlite::boxed,
    ));
}

/// Every case, and those of several schedulers.
fn run_all_shared(database: &mut dyn FnMut() -> Box<dyn Database>) -> u32 {
    let run = run_all(database);
    use cases::schedulers;
    databases::block_on(
        schedulers::what_a_scheduler_has_is_worth_nothing_once_the_agent_is_elsewhere(database()),
    );
    databases::block_on(schedulers::what_a_scheduler_leaves_is_looked_after_by_the_others(
        database(),
    ));
    databases::block_on(schedulers::an_agent_whose_name_is_taken_elsewhere_is_refused(database()));
    databases::block_on(schedulers::what_another_has_claimed_meanwhile_is_not_queued_again(
        database(),
    ));
    databases::block_on(schedulers::a_job_that_ends_meanwhile_takes_no_place_under_a_limit(
        database(),
    ));
    databases::block_on(schedulers::those_that_start_at_once_make_the_schema_once(database()));
    databases::block_on(cases::schema::every_earlier_schema_is_brought_up_to_date_with_its_data(
        &mut *database,
    ));
    databases::block_on(cases::events::what_commits_late_is_not_passed_over(database()));
    run + 8
}

#[test]
#[ignore = "needs PostgreSQL: apt-get install postgresql"]
fn on_postgresql() {
    let mut server = multiflexi_fixture::postgres::Postgres::start();
    let run = run_all_shared(&mut || Box::new(databases::Server::new(server.database().url)));
    println!("{run} cases passed on PostgreSQL");
}

#[test]
#[ignore = "needs MariaDB: apt-get install mariadb-server"]
fn on_mariadb() {
    let mut server = multiflexi_fixture::mariadb::MariaDb::start();
    let run = run_all_shared(&mut || Box::new(databases::Server::new(server.empty().url)));
    println!("{run} cases passed on MariaDB");
}

#[test]
#[ignore = "needs MySQL: put mysqld and mysql into PATH"]
fn on_mysql() {
    let mut server = multiflexi_fixture::mariadb::MariaDb::start_mysql();
    let run = run_all_shared(&mut || Box::new(databases::Server::new(server.empty().url)));
    println!("{run} cases passed on MySQL");
}

#[test]
#[ignore = "needs MariaDB: apt-get install mariadb-server"]
fn on_mariadb_what_is_done_often_looks_at_few_rows() {
    cases::reads::what_is_done_often_looks_at_few_rows_of_mariadb();
}

#[test]
#[ignore = "needs PostgreSQL: apt-get install postgresql"]
fn on_postgresql_what_is_done_often_looks_at_few_rows() {
    cases::reads::what_is_done_often_looks_at_few_rows_of_postgresql();
}

use super::*;
use crate::domain::ids::{Fence, JobId};
use multiflexi_proto::frame::Stream;

fn record(data: &str) -> Vec<u8> {
    let mut bytes = frame::header(Stream::Stdout, 1, data.len()).to_vec();
    bytes.extend_from_slice(data.as_bytes());
    bytes
}

fn log() -> LiveLog {
    LiveLog::new(AttemptKey { job: JobId(1), number: 1, fence: Fence(1) })
}

#[test]
fn each_byte_is_taken_once_and_in_order() {
    let log = log();
    let (one, two) = (record("one"), record("two"));
    let at = one.len() as i64;
    assert_eq!(log.append(at, &two.clone().into()), Appended::Gap(0));
    log.append(0, &one.clone().into());
    log.append(0, &one.clone().into());
    log.append(0, &[one.clone(), two.clone()].concat().into());
    assert_eq!(log.read(0, 1000).unwrap().concat(), [one, two.clone()].concat());
    assert_eq!(log.read(at, 1000).unwrap().concat(), two);
    assert_eq!(log.received(), 2 * at);
    assert_eq!(log.lock().streams[0].bytes, 6);
}

#[test]
fn what_is_no_log_is_lost_with_all_behind_it_and_not_what_is_before() {
    let log = log();
    log.append(0, &record("one").into());
    let mut frames = record("good");
    frames.extend_from_slice(&[9; 20]);
    assert!(!log.is_whole(59) && log.lost(59).is_empty());
    log.append(19, &frames.into());
    assert_eq!((log.received(), log.lock().streams[0].bytes), (19, 3));
    log.append(19, &record("more").into());
    assert_eq!(log.received(), 19, "nobody knows what it is");
    assert!(log.is_whole(59) && log.progress().borrow().lost);
    let lost = log.lost(59);
    assert!(matches!(lost.as_slice(), [LostOutput { from: 19, to: 59, .. }]), "{lost:?}");
}

#[test]
fn a_log_goes_on_behind_a_chunk_that_is_gone() {
    let chunk = |start, streams_at| StoredChunk {
        start,
        length: 19,
        streams_at,
        last_time: 1,
        encoding: "raw".to_owned(),
        content: crate::store::ChunkContent::Inline(Vec::new()),
    };
    let log = log();
    log.restore(&chunk(0, [0, 0]), &record("one").into(), true).unwrap();
    log.leave_out(&chunk(19, [3, 0]), "gone".to_owned());
    assert_eq!((log.received(), log.durable()), (38, 38));
    log.restore(&chunk(38, [6, 0]), &record("two").into(), true).unwrap();
    log.append(57, &record("six").into());
    assert_eq!(log.unsealed().map(|rest| (rest.start, rest.streams_at)), Some((57, [9, 0])));
    let reason = "gone".to_owned();
    assert_eq!(log.lost(76), [LostOutput { from: 19, to: 38, reason }]);
    assert!(log.is_whole(76));
}

#[test]
fn sealed_bytes_leave_memory_and_open_ones_stay() {
    let log = log();
    log.append(0, &record("one").into());
    let stored = log.unsealed().unwrap();
    log.append(19, &record("two").into());
    log.stored(&stored, true);
    assert_eq!(log.read(0, 1000), None);
    assert_eq!(log.read(19, 1000).unwrap().concat(), record("two"));
    let next = log.unsealed().unwrap();
    assert_eq!((next.start, next.length, next.streams_at), (19, 19, [3, 0]));
    log.stored(&next, false);
    assert_eq!(log.unsealed().map(|rest| rest.start), None);
    assert_eq!(log.read(19, 1000).unwrap().concat(), record("two"));
}

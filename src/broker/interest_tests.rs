//! The table of interests: what is told when, who waits for what.

use super::*;
use crate::protocol::{GroupName, Tenant, UserId};

fn group(user: &str) -> Group {
    Group { tenant: Tenant::default(), name: GroupName::NotificationsUser(UserId::new(user).expect("an id")) }
}

fn groups(edits: &Edits) -> (Vec<Group>, Vec<Group>) {
    (edits.joined.clone(), edits.left.clone())
}

#[tokio::test(start_paused = true)]
async fn only_the_first_interest_is_told_of_and_the_last_one_lingers() {
    let interests = Interests::default();
    let (first, waits) = interests.take(group("1"));
    let (second, also_waits) = interests.take(group("1"));
    let edits = interests.take_edits(9);
    assert_eq!(groups(&edits), (vec![group("1")], vec![]));
    interests.known(&edits);
    assert!(waits.expect("has to wait").await.is_ok() && also_waits.expect("has to wait").await.is_ok());
    drop((first, second));
    assert!(interests.take_edits(9).is_empty());
    // Back within the time: nobody has to be told, nobody has to wait.
    tokio::time::advance(LINGER / 2).await;
    let (third, waits) = interests.take(group("1"));
    assert!(waits.is_none());
    tokio::time::advance(LINGER).await;
    assert!(interests.take_edits(9).is_empty());
    drop(third);
    tokio::time::advance(LINGER).await;
    assert_eq!(groups(&interests.take_edits(9)), (vec![], vec![group("1")]));
    assert!(interests.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_told_is_told_again() {
    let interests = Interests::default();
    let (one, _waits) = interests.take(group("1"));
    interests.failed(interests.take_edits(9));
    let edits = interests.take_edits(9);
    assert_eq!(groups(&edits), (vec![group("1")], vec![]));
    interests.known(&edits);
    drop(one);
    tokio::time::advance(LINGER).await;
    interests.failed(interests.take_edits(9));
    assert_eq!(groups(&interests.take_edits(9)), (vec![], vec![group("1")]));
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_back_since_is_not_known_by_a_late_word_of_the_first_time() {
    let interests = Interests::default();
    let (one, _waits) = interests.take(group("1"));
    let first = interests.take_edits(9);
    drop(one);
    tokio::time::advance(LINGER).await;
    assert_eq!(groups(&interests.take_edits(9)), (vec![], vec![group("1")]));
    let (_again, waits) = interests.take(group("1"));
    let second = interests.take_edits(9);
    interests.known(&first);
    let mut waits = waits.expect("has to wait");
    assert!(waits.try_recv().is_err(), "others may know only that there is nobody");
    interests.known(&second);
    assert!(waits.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_lost_place_lets_those_down_who_wait_and_all_is_told_anew() {
    let interests = Interests::default();
    let (_here, waits) = interests.take(group("1"));
    let old = interests.take_edits(9);
    interests.forgotten();
    assert!(waits.expect("has to wait").await.is_err());
    let new = interests.take_edits(9);
    assert_eq!(groups(&new), (vec![group("1")], vec![]));
    // What the earlier boot was told counts for nothing.
    interests.known(&old);
    assert!(interests.take(group("1")).1.is_some());
    interests.known(&new);
    assert!(interests.take(group("1")).1.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_lone_node_waits_for_nobody_and_tells_all_once_it_has_company() {
    let interests = Interests::default();
    interests.set_alone(true);
    let (_here, waits) = interests.take(group("1"));
    let (gone, _) = interests.take(group("2"));
    drop(gone);
    assert!(waits.is_none() && interests.take_edits(9).is_empty());
    interests.set_alone(false);
    assert_eq!(groups(&interests.take_edits(9)), (vec![group("1")], vec![]));
}

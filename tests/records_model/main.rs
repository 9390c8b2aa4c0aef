//! The pure state machine against a naive model, over tables in memory, command by command.
//!
//! The model keeps plain lists and counts them whenever it is asked; the state machine keeps counters, positions and
//! keys. Whatever commands come, packed into log entries however, both must answer the same, show the same, and
//! announce the same.

mod commands;
mod journal;
mod machine;
mod model;
mod tickets;

use carillon::records::Reply;
use commands::{Step, steps};
use machine::Machine;
use model::Model;
use proptest::prelude::*;

/// Whether the machine's answer is the model's, which leaves open how many rows an erasure or a trim removes.
fn alike(got: &Reply, want: &Reply) -> bool {
    match (got, want) {
        (Reply::Replayed(got), Reply::Replayed(want)) => alike(got, want),
        (Reply::Progress { more, .. }, Reply::Progress { removed: u64::MAX, more: m }) => more == m,
        _ => got == want,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_state_machine_answers_shows_and_announces_what_a_naive_model_does(
        steps in steps(), entries in proptest::collection::vec(1usize..7, 1..20),
    ) {
        let mut machine = Machine::default();
        let mut model = Model::default();
        machine.run(&steps, &entries);
        let answered = model.run(&steps);
        for (nth, (got, want)) in machine.replies.iter().zip(&answered).enumerate() {
            prop_assert!(alike(got, want), "command {} was answered {:?}, not {:?}", nth, got, want);
        }
        prop_assert_eq!(machine.replies.len(), answered.len());
        prop_assert_eq!(&machine.transitions(), &model.transitions);
        model.compare(&machine);
        journal::check(&machine);
    }

    #[test]
    fn the_same_log_gives_the_same_bytes(steps in steps(), entries in proptest::collection::vec(1usize..7, 1..20)) {
        let (mut one, mut other) = (Machine::default(), Machine::default());
        one.run(&steps, &entries);
        for (index, batch) in &one.log {
            other.apply(*index, batch);
        }
        prop_assert_eq!(&one.tables, &other.tables);
        prop_assert_eq!(&one.effects, &other.effects);
    }

    #[test]
    fn however_commands_are_packed_they_are_answered_and_announced_alike(
        steps in steps(), entries in proptest::collection::vec(1usize..7, 1..20),
    ) {
        let (mut packed, mut single) = (Machine::default(), Machine::default());
        packed.run(&steps, &entries);
        single.run(&steps, &[1]);
        prop_assert_eq!(&packed.replies, &single.replies);
        prop_assert_eq!(packed.kinds(), single.kinds());
        prop_assert_eq!(packed.shown(), single.shown());
    }

    #[test]
    fn a_batch_that_comes_again_changes_nothing_and_announces_nothing(
        steps in steps(), entries in proptest::collection::vec(1usize..7, 1..20), again in any::<prop::sample::Index>(),
    ) {
        let mut machine = Machine::default();
        machine.run(&steps, &entries);
        let (tables, effects) = (machine.tables.clone(), machine.effects.len());
        let (_, batch) = machine.log[again.index(machine.log.len())].clone();
        let next = machine.log.len() as u64 + 1;
        let writes = machine.apply(next, &batch);
        prop_assert_eq!(writes, 0);
        prop_assert_eq!(machine.effects.len(), effects);
        prop_assert!(machine.tables.count(1) == tables.count(1));
        prop_assert!(machine.replies.ends_with(&vec![Reply::Repeated; batch.commands.len()]));
    }
}

#[test]
fn the_generator_makes_every_kind_of_command() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..50 {
        for step in steps().new_tree(&mut runner).expect("steps").current() {
            let text = match step {
                Step::Do(todo) => format!("{:?}", todo.op),
                Step::Restart => "Restart".into(),
            };
            seen.insert(text.split([' ', '(']).next().unwrap_or_default().to_owned());
        }
    }
    assert_eq!(seen.len(), 25, "{seen:?}");
}

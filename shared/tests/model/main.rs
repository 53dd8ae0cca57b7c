//! A model of everything that writes to one mission, run through random histories, and a test of the model: mistakes put
//! in on purpose are found.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

use world::{Move, Planted, WORKERS, World};

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let worker = 0..WORKERS;
    let one = prop_oneof![
        6 => (worker.clone(), 0_usize..3).prop_map(|(worker, entry)| Move::Deliver { worker, entry }),
        20 => (worker.clone(), 0_usize..4, prop::bool::weighted(0.1))
            .prop_map(|(worker, hand, lost)| Move::Step { worker, hand, lost }),
        3 => any::<bool>().prop_map(|well| Move::End { well }),
        1 => worker.clone().prop_map(|worker| Move::Crash { worker }),
        1 => worker.clone().prop_map(|worker| Move::Restart { worker }),
        1 => worker.clone().prop_map(|worker| Move::Stall { worker }),
        1 => worker.prop_map(|worker| Move::Wake { worker }),
        1 => Just(Move::CallerReads),
        1 => Just(Move::CallerActs),
        1 => Just(Move::Retier),
        1 => (1_u64..30).prop_map(|seconds| Move::Pass { seconds }),
    ];
    prop::collection::vec(one, 1..120)
}

fn history(planted: Planted, moves: &[Move]) -> Result<(), TestCaseError> {
    let mut world = World::new(planted);
    for step in moves {
        world.go(step);
    }
    let ended = world.settle();
    if let Some(why) = world.broken {
        return Err(TestCaseError::fail(why));
    }
    prop_assert!(ended, "it never ends: {:?}", world.mission.map(|mission| mission.status));
    Ok(())
}

proptest! {
    #![proptest_config(Config { cases: 2_000, max_shrink_iters: 20_000, ..Config::default() })]

    #[test]
    fn no_history_breaks_a_promise_and_each_mission_ends(moves in moves()) {
        history(Planted::Nothing, &moves)?;
    }
}

#[test]
fn each_planted_mistake_is_found() {
    for planted in [
        Planted::NoCompareAndSet,
        Planted::NoProof,
        Planted::RunsFinalizing,
        Planted::AcksWhatItLeaves,
        Planted::ForgetsWhatItHolds,
    ] {
        let config = Config { cases: 5_000, failure_persistence: None, ..Config::default() };
        match TestRunner::new(config).run(&moves(), |moves| history(planted, &moves)) {
            Err(TestError::Fail(why, moves)) => {
                eprintln!("{planted:?}: {why}, in {} moves: {moves:?}", moves.len());
            }
            other => panic!("{planted:?} was not found: {other:?}"),
        }
    }
}

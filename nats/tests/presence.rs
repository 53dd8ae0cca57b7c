//! Who is alive, and the proof that one is not.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::future::ready;
use std::time::Duration;

use common::{World, lane_id, worker};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use vp_nats::clock;
use vp_nats::connect::Connection;
use vp_nats::presence::{
    PRESENCE_TTL, PresenceChange, PresenceWatch, Questions, Testament, absent_for, announce, list, lookup,
    prove_dead, prove_gone, withdraw,
};
use vp_shared::api::{LanePresence, Presence, WorkerAnswer};
use vp_shared::event::{EventBody, WorkerRef};
use vp_shared::ids::WorkerId;
use vp_shared::lane::LaneMode;
use vp_shared::mission::Liveness;

/// Of a lane with a lease of 18 s.
const SELF_KILL: Duration = Duration::from_secs(15);

fn presence(worker: &WorkerRef, busy: u32) -> Presence {
    Presence {
        worker: worker.clone(),
        lanes: vec![LanePresence {
            vp_id: lane_id(),
            slots: 4,
            busy,
            starved_since: None,
            mode: LaneMode::Open,
        }],
        since: clock::now(),
        draining: false,
        workspaces: None,
        process: None,
    }
}

fn id(name: &str) -> WorkerId {
    WorkerId::new(name).unwrap()
}

/// A worker that renews its key and answers every question the same, until it is aborted.
async fn alive(conn: &Connection, who: &WorkerRef, answer: WorkerAnswer) -> JoinHandle<()> {
    announce(conn, &presence(who, 0)).await.unwrap();
    let mut questions = Questions::open(conn, &who.worker_id).await.unwrap();
    let (conn, who) = (conn.clone(), who.clone());
    tokio::spawn(async move {
        let renew = async {
            loop {
                sleep(Duration::from_millis(500)).await;
                // A server that is being restarted does not answer.
                let _ = announce(&conn, &presence(&who, 0)).await;
            }
        };
        tokio::select! {
            () = renew => {}
            () = questions.serve(move |_| ready(Some(answer.clone()))) => {}
        }
    })
}

async fn verdict(world: &World, owner: &WorkerRef) -> Liveness {
    timeout(Duration::from_secs(20), prove_gone(&world.conn, owner, &world.mission("k"), SELF_KILL))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_key_is_there_while_it_is_renewed_and_gone_after_its_time() {
    let world = World::start().await;
    let a = worker("a", "1");
    assert_eq!(lookup(&world.conn, &id("a")).await.unwrap(), None);
    let said = presence(&a, 1);
    announce(&world.conn, &said).await.unwrap();
    announce(&world.conn, &presence(&worker("b", "1"), 0)).await.unwrap();
    assert_eq!(lookup(&world.conn, &id("a")).await.unwrap(), Some(said));
    assert_eq!(list(&world.conn).await.unwrap().len(), 2);
    let begun = Instant::now();
    common::eventually("it has expired", || async {
        lookup(&world.conn, &id("a")).await.unwrap().is_none().then_some(())
    })
    .await;
    let took = begun.elapsed();
    assert!(
        took + Duration::from_secs(1) > PRESENCE_TTL && took < PRESENCE_TTL + Duration::from_secs(3),
        "{took:?}"
    );
    common::eventually("the other too", || async {
        list(&world.conn).await.unwrap().is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_watch_tells_who_comes_changes_expires_and_withdraws() {
    let world = World::start().await;
    announce(&world.conn, &presence(&worker("a", "1"), 0)).await.unwrap();
    let mut watch = PresenceWatch::open(&world.conn).await.unwrap();
    let changes = watch.next(Duration::from_secs(5)).await.unwrap();
    assert!(
        matches!(&changes[..], [PresenceChange::Alive(found)] if found.worker.worker_id == id("a")),
        "{changes:?}"
    );

    let (b, c) = (presence(&worker("b", "1"), 0), presence(&worker("b", "1"), 3));
    announce(&world.conn, &b).await.unwrap();
    announce(&world.conn, &b).await.unwrap();
    announce(&world.conn, &c).await.unwrap();
    let mut changes = Vec::new();
    while changes.len() < 2 {
        changes.append(&mut watch.next(Duration::from_secs(5)).await.unwrap());
    }
    assert_eq!(changes, [PresenceChange::Alive(b), PresenceChange::Alive(c)], "a mere renewal is not told");

    withdraw(&world.conn, &id("b")).await.unwrap();
    assert_eq!(lookup(&world.conn, &id("b")).await.unwrap(), None);
    let changes = watch.next(Duration::from_secs(2)).await.unwrap();
    assert_eq!(changes, [PresenceChange::Gone(id("b"))]);
    let changes = watch.next(Duration::from_secs(10)).await.unwrap();
    assert_eq!(changes, [PresenceChange::Gone(id("a"))], "expired");
}

#[tokio::test]
async fn a_watch_goes_on_after_a_restart_of_the_server() {
    let mut world = World::start().await;
    let mut watch = PresenceWatch::open(&world.conn).await.unwrap();
    world.server.restart().await;
    let told = common::eventually("it is connected", || async {
        announce(&world.conn, &presence(&worker("a", "1"), 0)).await.ok()
    });
    told.await;
    let deadline = Instant::now() + common::PATIENCE;
    loop {
        assert!(Instant::now() < deadline);
        if let Ok(changes) = watch.next(Duration::from_secs(5)).await
            && changes.iter().any(|change| matches!(change, PresenceChange::Alive(_)))
        {
            break;
        }
    }
}

#[tokio::test]
async fn who_holds_the_mission_is_alive() {
    let world = World::start().await;
    let owner = worker("a", "1");
    let other = world.server.connect().await;
    let _task = alive(&other, &owner, WorkerAnswer::Holds { attempt: 1 }).await;
    assert_eq!(verdict(&world, &owner).await, Liveness::Alive);
    // Even when its key was lost: it says so itself.
    withdraw(&world.conn, &owner.worker_id).await.unwrap();
    assert_eq!(verdict(&world, &owner).await, Liveness::Alive);
}

#[tokio::test]
async fn who_has_no_responder_is_alive_until_its_executor_can_no_longer_run() {
    let world = World::start().await;
    let owner = worker("a", "1");
    let other = world.server.connect().await;
    let task = alive(&other, &owner, WorkerAnswer::Holds { attempt: 1 }).await;
    assert_eq!(verdict(&world, &owner).await, Liveness::Alive);
    // Killed, or frozen with a connection that was reset: nobody can tell.
    task.abort();
    drop(other);
    assert_eq!(verdict(&world, &owner).await, Liveness::Alive, "with its key");
    common::eventually("its key expires", || async {
        lookup(&world.conn, &owner.worker_id).await.unwrap().is_none().then_some(())
    })
    .await;
    let expired = Instant::now();
    let mission = world.mission("k");
    assert_eq!(verdict(&world, &owner).await, Liveness::Alive, "its executor may still run");
    let long = Duration::from_secs(17);
    assert_eq!(
        prove_dead(&world.conn, &owner, &mission, long).await,
        Liveness::Alive,
        "gone for too short a time"
    );
    common::eventually("its executor can no longer run", || async {
        (verdict(&world, &owner).await == Liveness::Gone).then_some(())
    })
    .await;
    let least = absent_for(SELF_KILL).saturating_sub(Duration::from_secs(1));
    assert!(expired.elapsed() >= least, "{:?}", expired.elapsed());
    common::eventually("it has been gone for long", || async {
        (prove_dead(&world.conn, &owner, &mission, long).await == Liveness::Gone).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_death_that_is_told_is_believed_at_once() {
    let world = World::start().await;
    let owner = worker("a", "1");
    let task = alive(&world.conn, &owner, WorkerAnswer::DoesNotHold).await;
    let begun = Instant::now();
    assert_eq!(verdict(&world, &owner).await, Liveness::Gone);
    assert!(begun.elapsed() < PRESENCE_TTL, "{:?}", begun.elapsed());
    let mission = world.mission("k");
    assert_eq!(prove_dead(&world.conn, &owner, &mission, Duration::from_mins(1)).await, Liveness::Gone);
    task.abort();
}

#[tokio::test]
async fn a_worker_that_lives_another_life_holds_only_what_it_says() {
    let world = World::start().await;
    let (before, now) = (worker("a", "1"), worker("a", "2"));
    let task = alive(&world.conn, &now, WorkerAnswer::DoesNotHold).await;
    assert_eq!(verdict(&world, &before).await, Liveness::Gone);
    task.abort();
    let _ = task.await;
    let _task = alive(&world.conn, &now, WorkerAnswer::Holds { attempt: 1 }).await;
    assert_eq!(verdict(&world, &before).await, Liveness::Alive);
}

#[tokio::test]
async fn the_same_life_must_deny_it_twice() {
    let world = World::start().await;
    let owner = worker("a", "1");
    announce(&world.conn, &presence(&owner, 0)).await.unwrap();
    let mut questions = Questions::open(&world.conn, &owner.worker_id).await.unwrap();
    let asked = std::sync::atomic::AtomicU32::new(0);
    // Claiming at this moment: it denies once, then it holds.
    let serve = questions.serve(|_| match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => ready(Some(WorkerAnswer::DoesNotHold)),
        _ => ready(Some(WorkerAnswer::Holds { attempt: 1 })),
    });
    let proof = async {
        // Its key must not expire before the proof begins.
        let keep = async {
            loop {
                announce(&world.conn, &presence(&owner, 0)).await.unwrap();
                sleep(Duration::from_millis(500)).await;
            }
        };
        tokio::select! { found = verdict(&world, &owner) => found, () = keep => unreachable!() }
    };
    tokio::select! {
        found = proof => assert_eq!(found, Liveness::Alive),
        () = serve => panic!("the client is closed"),
    }
}

#[tokio::test]
async fn who_is_silent_is_alive_until_its_executor_can_no_longer_run() {
    let world = World::start().await;
    let owner = worker("a", "1");
    let other = world.server.connect().await;
    // Subscribed and never read: as a frozen process.
    let _subscribed = other.client().subscribe("workers.a").await.unwrap();
    other.flush().await.unwrap();
    // The proof waits until the connection has stood for a while.
    sleep(Duration::from_secs(4)).await;
    announce(&world.conn, &presence(&owner, 0)).await.unwrap();
    assert_eq!(verdict(&world, &owner).await, Liveness::Alive);
    common::eventually("its key expires", || async {
        lookup(&world.conn, &owner.worker_id).await.unwrap().is_none().then_some(())
    })
    .await;
    let mission = world.mission("k");
    assert_eq!(
        prove_dead(&world.conn, &owner, &mission, Duration::ZERO).await,
        Liveness::Alive,
        "its lease is not ended early"
    );
    assert_eq!(verdict(&world, &owner).await, Liveness::Alive, "its executor may still run");
    common::eventually("its executor can no longer run", || async {
        (verdict(&world, &owner).await == Liveness::Gone).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_restart_of_the_server_proves_nobody_gone() {
    let mut world = World::start().await;
    let owner = worker("a", "1");
    let other = world.server.connect().await;
    let _task = alive(&other, &owner, WorkerAnswer::Holds { attempt: 1 }).await;
    world.server.kill().await;
    // Longer than the key lives.
    sleep(PRESENCE_TTL + Duration::from_secs(1)).await;
    world.server.restart().await;
    let deadline = Instant::now() + Duration::from_secs(8);
    while Instant::now() < deadline {
        assert_eq!(verdict(&world, &owner).await, Liveness::Alive);
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn nothing_is_proven_without_a_server() {
    let mut world = World::start().await;
    world.server.stop().await;
    assert_eq!(verdict(&world, &worker("a", "1")).await, Liveness::Alive);
}

#[tokio::test]
async fn a_testament_hands_the_mission_back_and_proves_the_death_at_once() {
    let world = World::start().await;
    let owner = worker("a", "1");
    announce(&world.conn, &presence(&owner, 1)).await.unwrap();
    let seq = world.dispatch("k").await;
    let delivery = common::pull_one(&world.queue()).await;
    let started = |worker: &WorkerRef, attempt, lease: &str| {
        let (worker, lease) = (worker.clone(), lease.to_owned());
        common::event("k", attempt, EventBody::Started { worker, lease, took_over: None })
    };
    let stored = world.log.append(&started(&owner, 1, delivery.lease()), seq).await.unwrap();
    let mission = world.log.read(&world.lane, &world.mission("k")).await.unwrap().unwrap().mission;
    delivery.leave();
    let testament = Testament::new(&world.conn, &mission).unwrap();
    // As it goes to the keeper.
    let testament: Testament = serde_json::from_slice(&serde_json::to_vec(&testament).unwrap()).unwrap();
    let begun = Instant::now();
    let spoken = tokio::spawn(async move { testament.execute().await });
    let again = common::pull_one(&world.queue()).await;
    assert_eq!(again.seq, seq, "handed back, not redelivered after its lease");
    assert_eq!(verdict(&world, &owner).await, Liveness::Gone);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?} of a lease of 30 s", begun.elapsed());
    // Another life of it is none of the testament's business.
    let other_life = worker("a", "2");
    announce(&world.conn, &presence(&other_life, 1)).await.unwrap();
    let _alive = alive(&world.conn, &other_life, WorkerAnswer::Holds { attempt: 2 }).await;
    assert_eq!(verdict(&world, &other_life).await, Liveness::Alive);
    assert!(!spoken.is_finished());
    world.log.append(&started(&other_life, 2, again.lease()), stored.seq).await.unwrap();
    timeout(Duration::from_secs(10), spoken)
        .await
        .expect("it is done when somebody has the mission")
        .unwrap()
        .unwrap();
}

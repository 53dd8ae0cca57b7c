//! A ledger that is full, gone from its place, or on a server that is away for long, under a real bridge and load.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};
use vp_bridge::harness::LedgerKind;
use vp_shared::ids::MissionId;
use vp_tests::lanes::{CODER, noop_lane};
use vp_tests::process::{Installation, Process};
use vp_tests::until::{until, until_true};
use vp_tests::world::World;

/// How many missions come and go while the ledger cannot be written, at least.
const MEANWHILE: usize = 300;
/// How many seconds it stays that way at least: none when absent, since only missions count. By hand: 3600.
const AWAY_SECONDS: &str = "VP_TEST_LEDGER_AWAY_SECONDS";
/// No file may have more bytes: the ledger has them already, a log of the bridge's errors does not reach them.
const FULL: u64 = 64 * 1024;
/// A bridge tries again each 2 s at most, and says so each time.
const TRIES_A_SECOND: usize = 4;

struct Scene {
    world: World,
    vp: Installation,
    missions: Vec<MissionId>,
}

impl Scene {
    /// A world whose workers work and whose bridge is a process to come.
    async fn on(kind: LedgerKind) -> Self {
        let builder = World::builder().ledger(kind).lane(CODER, noop_lane()).workers(1).without_bridge();
        let world = builder.start().await;
        let vp = Installation::of(&world);
        Self { world, vp, missions: Vec::new() }
    }

    async fn bridge(&self) -> Process {
        let mut bridge = self.vp.spawn_ignoring("XFSZ", "bridge", &["bridge"]);
        bridge.until_it_says("the bridge runs").await;
        bridge
    }

    /// Missions from dispatch to end.
    async fn missions(&mut self, count: usize) {
        let first = self.missions.len();
        for _ in 0..count {
            self.missions.push(self.world.dispatch_as("chat", CODER, json!({})).await);
        }
        for mission in &self.missions[first..] {
            self.world.wait(mission).await;
        }
    }

    /// Missions go on, a few each second, for as long as the ledger is to be away.
    async fn missions_meanwhile(&mut self) {
        let seconds = std::env::var(AWAY_SECONDS).map_or(0, |text| text.parse().unwrap());
        let end = Instant::now() + Duration::from_secs(seconds);
        self.missions(MEANWHILE).await;
        while Instant::now() < end {
            self.missions(3).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// What `vp ledger status` says of the one bridge there is.
    fn bridge_report(&self) -> Value {
        let output = self.vp.run(["-o", "json", "ledger", "status"]);
        let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        said["bridges"][0].clone()
    }

    /// The ledger's trouble is told, with what to do and how far behind it is, and grows no faster than it should.
    async fn trouble_is_told(&self, bridge: &Process, words: &[&str]) {
        let told = until("the bridge says what is in its way and how far it is behind", async || {
            let report = self.bridge_report();
            let said = report["trouble"].to_string();
            let late = report["lag_seconds"].as_u64().is_some_and(|seconds| seconds >= 2);
            (words.iter().all(|word| said.contains(word)) && late).then_some(report)
        })
        .await;
        assert!(told["lag_events"].as_u64().unwrap() >= MEANWHILE as u64, "{told}");
        let doctor: Value = serde_json::from_slice(&self.vp.run(["-o", "json", "doctor"]).stdout).unwrap();
        let checks = doctor["checks"].as_array().unwrap();
        let found = checks.iter().find(|check| check["check"] == "bridges").unwrap();
        assert!(found["verdict"] != "ok", "{found}");
        assert!(words.iter().all(|word| found["found"].as_str().unwrap().contains(word)), "{found}");
        let before = bridge.log().lines().count();
        let watched = Duration::from_secs(3);
        tokio::time::sleep(watched).await;
        let lines = bridge.log().lines().count() - before;
        assert!(lines <= TRIES_A_SECOND * 3, "{lines} lines in {watched:?}: it spins\n{}", bridge.log());
    }

    /// Every notice of every mission came once and in order, and the ledger is what the log says.
    async fn nothing_is_lost(&self) {
        let mut told: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for notice in self.world.all_notices("chat", CODER).await {
            told.entry(notice.mission_id).or_default().push(notice.event);
        }
        let life = ["vp.mission.dispatched", "vp.mission.started", "vp.mission.completed"];
        assert!(told.values().all(|events| events == &life), "{told:?}");
        assert_eq!(told.len(), self.missions.len());
        self.world.assert_ledger_equals_log().await;
    }
}

/// No file of that process may grow beyond this from now on.
fn limit_files(process: &Process, bytes: Option<u64>) {
    let pid = Pid::from_raw(process.pid().cast_signed()).unwrap();
    prlimit(Some(pid), Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_without_room_is_told_and_caught_up_with_when_there_is_some() {
    let mut scene = Scene::on(LedgerKind::Sqlite).await;
    let bridge = scene.bridge().await;
    scene.missions(20).await;
    scene.world.until_projected().await;
    limit_files(&bridge, Some(FULL));
    scene.missions_meanwhile().await;
    scene.trouble_is_told(&bridge, &["disk", "make room"]).await;
    limit_files(&bridge, None);
    scene.missions(20).await;
    scene.nothing_is_lost().await;
    assert!(bridge.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_whose_directory_was_moved_away_is_waited_for_and_not_made_anew() {
    let mut scene = Scene::on(LedgerKind::Sqlite).await;
    let home = scene.world.dir().join("home");
    let away = scene.world.dir().join("away");
    let place = home.join("ledger.sqlite");
    // Its own directory, which the world's other files are not in.
    scene.world.ledger.location = place.display().to_string();
    scene.vp = Installation::of(&scene.world);
    let mut bridge = scene.bridge().await;
    scene.missions(20).await;
    scene.world.until_projected().await;
    std::fs::rename(&home, &away).unwrap();
    bridge.until_it_says("the bridge stands by").await;
    scene.missions_meanwhile().await;
    scene.trouble_is_told(&bridge, &["gone from its place", "put it back"]).await;
    assert!(!home.exists(), "a ledger was made in the place of the one that is away");
    std::fs::rename(&away, &home).unwrap();
    scene.missions(20).await;
    scene.nothing_is_lost().await;
    assert!(bridge.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_for_long_while_hundreds_of_missions_run_is_caught_up_with() {
    let mut scene = Scene::on(LedgerKind::Postgres).await;
    let mut bridge = scene.bridge().await;
    scene.missions(20).await;
    scene.world.until_projected().await;
    scene.world.ledger.server.as_mut().unwrap().kill();
    bridge.until_it_says("the bridge stands by").await;
    scene.missions_meanwhile().await;
    scene.trouble_is_told(&bridge, &["is its server running"]).await;
    scene.world.ledger.server.as_mut().unwrap().start_again().await;
    until_true("the bridge works again", async || scene.bridge_report()["active"] == true).await;
    scene.missions(20).await;
    scene.nothing_is_lost().await;
    assert!(bridge.terminate().await.success());
}

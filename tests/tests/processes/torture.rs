//! Short rounds of the torture program, the same code as the long ones. `make torture` runs longer ones.

use std::process::Command;

use vp_tests::process::binary_beside_tests;

fn no_violation(args: &[&str]) {
    let torture = binary_beside_tests("torture", "cargo builds it with this package's tests");
    let output = Command::new(torture).args(args).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    assert!(stdout.contains("no violation"), "{stdout}");
}

/// 18 s of faults, and as long as it takes to settle: about 40 s. By this seed no timer comes due while the store is full,
/// which the round below is about.
#[test]
fn a_short_round_of_the_torture_program_finds_no_violation() {
    no_violation(&["--seed", "53", "--missions", "60", "--minutes", "0.3", "--settle-seconds", "120"]);
}

/// By this seed two missions come due while the store is full. nats-server 2.15.1 cannot queue them then and does not
/// try again before its next start, though their timers are still there. About 90 s.
#[test]
fn missions_whose_time_comes_while_the_store_is_full_are_queued_all_the_same() {
    no_violation(&["--seed", "195", "--missions", "60", "--minutes", "0.5", "--faults", "disk"]);
}

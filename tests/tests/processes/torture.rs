//! A short round of the torture program, the same code as the long ones. `make torture` runs longer ones.

use std::process::Command;

use vp_tests::process::binary_beside_tests;

/// 15 s of faults, and as long as it takes to settle: about 40 s.
#[test]
fn a_short_round_of_the_torture_program_finds_no_violation() {
    let torture = binary_beside_tests("torture", "cargo builds it with this package's tests");
    let round = ["--seed", "2", "--missions", "60", "--minutes", "0.3", "--settle-seconds", "120"];
    let output = Command::new(torture).args(round).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    assert!(stdout.contains("no violation"), "{stdout}");
}

//! How the program behaves towards users and scripts, whatever the verb.

use std::process::Stdio;

use crate::support::{World, run};

#[test]
fn without_a_verb_it_teaches() {
    let world = World::without_filter();
    let help = world.ok(&mut world.command("lob"));
    assert!(help.contains("Usage: lob"), "{help}");
    assert!(help.contains("lob track '*.psd'"), "{help}");
}

#[test]
fn the_program_answers_to_both_of_its_names() {
    let world = World::without_filter();
    let version = world.ok(world.command("lob").arg("--version"));
    assert_eq!(version, format!("lob {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(
        world.ok(world.command("git").args(["lob", "--version"])),
        version
    );
}

#[test]
fn wrong_usage_exits_with_2_and_prints_no_data() {
    let world = World::without_filter();
    for args in [
        &["nonsense"][..],
        &["install", "--nonsense"],
        &["man"],
        &["--json", "x"],
    ] {
        let run = run(world.command("lob").args(args), b"");
        assert_eq!(run.stdout, b"", "{args:?}");
        let stderr = run.fails(2);
        assert!(stderr.contains("--help"), "{stderr}");
    }
}

#[test]
fn a_failure_is_one_message_with_its_causes_and_hints() {
    let world = World::without_filter();
    let stderr = run(world.command("lob").args(["-C", "no/such", "env"]), b"").fails(1);
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(lines[0], "lob: error: cannot go to no/such");
    assert!(lines[1].starts_with("  caused by: "), "{stderr}");
    assert_eq!(lines.len(), 2, "{stderr}");
    let stderr = run(world.command("lob").args(["install", "--local"]), b"").fails(1);
    assert!(
        stderr.contains("\nhint: change into a repository"),
        "{stderr}"
    );
}

#[test]
fn a_failure_is_an_event_too() {
    let world = World::without_filter();
    let run = run(
        world
            .command("lob")
            .args(["--json", "-C", "no/such", "env"]),
        b"",
    );
    let event: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(event["event"], "error");
    assert_eq!(event["code"], 1);
    assert_eq!(event["message"], "cannot go to no/such");
    run.fails(1);
}

#[test]
fn a_name_cannot_drive_the_terminal() {
    let world = World::without_filter();
    let name = "a\x1b]0;title\x07\nlob: error: spoof";
    let stderr = run(world.command("lob").args(["-C", name, "env"]), b"").fails(1);
    assert!(
        stderr.contains("a\\x1b]0;title\\x07\n    lob: error: spoof"),
        "{stderr}"
    );
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let world = World::without_filter();
    for args in [
        &["completions", "bash"][..],
        &["--help"],
        &["env"],
        &["env", "--json"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = world.command("lob");
        let child = command
            .args(args)
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The command holds an end of the pipe as well.
        drop(command);
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
        assert_eq!(output.status.code(), Some(0), "{args:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn data_that_cannot_be_written_is_a_failure() {
    let world = World::without_filter();
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = world.command("lob");
    let child = command
        .args(["completions", "bash"])
        .stdout(full)
        .stderr(Stdio::piped());
    let output = child.spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.starts_with("lob: error: writing to stdout failed: "),
        "{stderr}"
    );
}

#[test]
fn version_and_help_need_neither_git_nor_a_home() {
    let world = World::without_filter();
    for arg in ["--version", "--help"] {
        let mut command = world.command(env!("CARGO_BIN_EXE_lob"));
        world.ok(command.arg(arg).env_remove("HOME").env("PATH", ""));
    }
    let stderr = run(
        world
            .command(env!("CARGO_BIN_EXE_lob"))
            .arg("env")
            .env("PATH", ""),
        b"",
    )
    .fails(1);
    assert!(stderr.contains("git is not installed"), "{stderr}");
    assert!(stderr.contains("hint: install git"), "{stderr}");
}

#[test]
fn colours_are_asked_for_or_absent() {
    let world = World::without_filter();
    let stderr = |name, value| {
        let mut command = world.command("lob");
        run(command.args(["-C", "no/such", "env"]).env(name, value), b"").fails(1)
    };
    assert!(stderr("CLICOLOR_FORCE", "1").contains("\x1b[31mlob: error: \x1b[0m"));
    assert!(!stderr("CLICOLOR_FORCE", "0").contains('\x1b'));
    assert!(!stderr("NO_COLOR", "1").contains('\x1b'));
}

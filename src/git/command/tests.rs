use super::super::fixture::Fixture;
use super::*;

#[test]
fn an_error_names_the_command_the_code_and_what_git_said() {
    let fixture = Fixture::new();
    let error = fixture
        .git()
        .output(["rev-parse", "--verify", "HEAD"])
        .unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("`git rev-parse --verify HEAD` failed with exit code 128: "));
    assert!(text.contains("Needed a single revision"), "{text}");
}

#[test]
fn much_input_and_much_output_pass_at_once() {
    let fixture = Fixture::new();
    let input = "no-such-object-of-this-name\n".repeat(200_000);
    let args = ["cat-file", "--batch-check"];
    let answer = fixture.git().feed(args, input.into_bytes()).unwrap();
    assert_eq!(
        answer.iter().filter(|&&byte| byte == b'\n').count(),
        200_000
    );
}

#[test]
fn an_answer_over_the_limit_is_refused() {
    let fixture = Fixture::new();
    let git = fixture.git();
    assert!(git.output_limited(["--version"], 100).is_ok());
    let error = git.output_limited(["--version"], 4).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`git --version` answered more than 4 bytes"
    );
}

#[test]
fn configuration_is_set_read_and_unset() {
    let fixture = Fixture::new();
    let git = fixture.git();
    assert_eq!(git.config_value("lob.remote").unwrap(), None);
    git.set_config("lob.remote", "-odd\nvalue").unwrap();
    git.set_config("lob.remote", "--odd\nvalue").unwrap();
    assert_eq!(
        git.config_value("lob.remote").unwrap().unwrap(),
        b"--odd\nvalue"
    );
    git.unset_config("lob.remote").unwrap();
    git.unset_config("lob.remote").unwrap();
    assert_eq!(git.config_value("lob.remote").unwrap(), None);
    assert!(matches!(git.config_value("--list"), Err(GitError::Dash(_))));
}

#[test]
fn git_is_never_taken_from_the_current_directory() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(format!("git{}", env::consts::EXE_SUFFIX));
    std::fs::write(&file, "").unwrap();
    assert_eq!(find(OsStr::new(".")), None);
    assert_eq!(find(OsStr::new("")), None);
    let path = env::join_paths([Path::new("."), dir.path()]).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(find(&path), None, "a file that can't be run is no program");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    }
    assert_eq!(find(&path), Some(file));
}

#[test]
fn a_dropped_pipe_leaves_no_process() {
    let fixture = Fixture::new();
    let pipe = fixture.git().pipe(["cat-file", "--batch"]).unwrap();
    let id = pipe.child.id();
    drop(pipe);
    #[cfg(target_os = "linux")]
    assert!(!Path::new(&format!("/proc/{id}")).exists());
    assert!(id > 0);
}

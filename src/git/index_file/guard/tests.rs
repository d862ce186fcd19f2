use super::*;

#[test]
fn only_the_lock_of_the_one_that_died_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let lock = dir.path().join("index.lock");
    let mine = identity(&File::create(&lock).unwrap().metadata().unwrap()).unwrap();
    fs::rename(&lock, dir.path().join("index")).unwrap();
    wait(&lock, &mine, io::empty()).unwrap();
    fs::write(&lock, "git's").unwrap();
    wait(&lock, &mine, io::empty()).unwrap();
    assert_eq!(fs::read(&lock).unwrap(), b"git's");
    fs::rename(dir.path().join("index"), &lock).unwrap();
    wait(&lock, &mine, io::empty()).unwrap();
    assert!(!lock.exists());
}

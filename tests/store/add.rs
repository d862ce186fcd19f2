//! Adding and reading back.

use lob_store::{Error, LobId};

use super::{noise, open, read};

#[test]
fn lobs_of_all_sizes_come_back_whole_and_in_ranges() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let sizes = [
        1,
        31,
        32 << 10,
        100_000,
        1 << 20,
        (1 << 20) + 1,
        5_000_000,
        40 << 20,
    ];
    let contents: Vec<_> = sizes
        .iter()
        .enumerate()
        .map(|(n, len)| noise(n as u64, *len))
        .collect();
    let mut writer = store.writer().expect("a writer");
    for content in &contents {
        let added = writer.add(&mut content.as_slice(), &()).expect("adds");
        assert_eq!(
            (added.id, added.size),
            (LobId::of(content), content.len() as u64)
        );
        assert_eq!(added.new_bytes, added.size);
    }
    writer.finish().expect("publishes");
    for store in [&store, &open(dir.path())] {
        for content in &contents {
            let id = LobId::of(content);
            assert!(
                read(store, &id).expect("reads") == *content,
                "{} bytes",
                content.len()
            );
            let (from, len) = (content.len() / 3, content.len() / 2);
            let range = store
                .read_range(&id, from as u64, len)
                .expect("reads a range");
            assert!(range == content[from..(from + len).min(content.len())]);
        }
        let mut lobs = 0;
        store
            .each_lob(&mut |_| {
                lobs += 1;
                Ok(())
            })
            .expect("lists");
        assert_eq!(lobs, contents.len());
    }
    assert!(matches!(
        read(&store, &LobId::of(b"never added")),
        Err(Error::NoLob(_))
    ));
}

#[test]
fn present_content_stores_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let content = noise(1, 3 << 20);
    for round in 0..2 {
        let mut writer = store.writer().expect("a writer");
        let added = writer.add(&mut content.as_slice(), &()).expect("adds");
        let small = writer.add(&mut &content[..5000], &()).expect("adds");
        assert_eq!(added.new_bytes, if round == 0 { 3 << 20 } else { 0 });
        assert_eq!(small.new_bytes, if round == 0 { 5000 } else { 0 });
        assert_eq!(writer.is_pending(), round == 0);
        writer.finish().expect("publishes");
    }
    assert_eq!(store.cursor().expect("a cursor").seq, 1);
}

#[test]
fn an_edit_stores_a_few_chunks() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let old = noise(1, 64 << 20);
    let mut new = old.clone();
    new.splice(32 << 20..32 << 20, noise(2, 4096));
    let mut writer = store.writer().expect("a writer");
    writer.add(&mut old.as_slice(), &()).expect("adds");
    writer.publish().expect("publishes");
    let before = store.stored_bytes().expect("a size");
    let added = writer.add(&mut new.as_slice(), &()).expect("adds");
    writer.finish().expect("publishes");
    let grown = store.stored_bytes().expect("a size") - before;
    assert!(
        added.new_bytes < 600_000,
        "{} bytes of content were new",
        added.new_bytes
    );
    assert!(grown < 700_000, "the store grew by {grown}");
    assert!(read(&store, &added.id).expect("reads") == new);
}

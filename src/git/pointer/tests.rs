use proptest::prelude::*;

use super::*;

const HELLO: &str = "version git-lob/2\n\
    oid blake3:ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f\n\
    size 5\n";
const LFS: &str = "version https://git-lfs.github.com/spec/v1\n\
    oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n\
    size 12345\n";
const OLD: &str = "git-lob: aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";

fn parse(text: impl AsRef<[u8]>) -> Option<Pointer> {
    Pointer::parse(text.as_ref())
}

#[test]
fn frozen_pointers_of_all_kinds_parse_for_ever() {
    let id = LobId::of(b"hello");
    assert_eq!(parse(HELLO), Some(Pointer::Lob { id, size: 5 }));
    let Some(Pointer::GitLob { sha1 }) = parse(OLD) else {
        panic!("a pointer of git-lob 2015 must parse");
    };
    assert_eq!(sha1[..4], [0xaa, 0xf4, 0xc6, 0x1d]);
    let Some(Pointer::Lfs {
        sha256,
        size: 12345,
        extended: false,
    }) = parse(LFS)
    else {
        panic!("a pointer of Git LFS must parse");
    };
    assert_eq!(sha256[..4], [0x4d, 0x7a, 0x21, 0x46]);
    for text in [HELLO, OLD, LFS] {
        assert_eq!(parse(text).map(|p| p.to_string()).as_deref(), Some(text));
    }
}

#[test]
fn pointer_text_with_extra_bytes_is_content() {
    for text in [HELLO, OLD] {
        for at in 0..=text.len() {
            for extra in ["\n", " ", "0", "a", "\r", "\0", "x\n"] {
                let longer = format!("{}{extra}{}", &text[..at], &text[at..]);
                match parse(&longer) {
                    None => {}
                    // One more digit makes another valid size.
                    Some(Pointer::Lob { size, .. }) => assert!(size == 50, "{longer:?}"),
                    Some(_) => panic!("{longer:?} must be content"),
                }
            }
            assert_eq!(parse(&text[..at]).is_some(), at == text.len());
        }
    }
    assert_eq!(parse(format!("{LFS}more text\n")), None);
    assert_eq!(parse(format!("{LFS}{LFS}")), None);
}

#[test]
fn only_the_canonical_form_is_a_lob() {
    for (from, to) in [
        ("size 5", "size 05"),
        ("size 5", "size 0"),
        ("size 5", "size +5"),
        ("size 5", "size -5"),
        ("size 5", "size "),
        ("size 5", "size 17592186044417"),
        ("size 5", "size 99999999999999999999999"),
        ("size 5\n", "size 5"),
        ("ea8f", "EA8F"),
        ("ea8f", "ea8"),
        ("blake3", "sha256"),
        ("git-lob/2", "git-lob/3"),
        ("\n", "\r\n"),
    ] {
        assert_eq!(parse(HELLO.replace(from, to)), None, "{from:?} -> {to:?}");
    }
    let largest = HELLO.replace("size 5", "size 17592186044416");
    assert_eq!(parse(largest).and_then(|p| p.size()), Some(limits::LOB_MAX));
    assert_eq!(parse(format!("{OLD}\n")), None);
    assert_eq!(parse(""), None);
}

#[test]
fn git_lfs_is_read_as_git_lfs_reads() {
    let plain = parse(LFS);
    for same in [
        LFS.replace('\n', "\r\n"),
        LFS.trim_end().to_string(),
        format!("\n\n{LFS}\n \n"),
        LFS.replace("git-lfs.github", "hawser.github"),
        LFS.replace(
            "https://git-lfs.github.com/spec/v1",
            "http://git-media.io/v/2",
        ),
    ] {
        assert_eq!(parse(&same), plain, "{same:?}");
    }
    for content in [
        LFS.replace("size 12345", "size 012345"),
        LFS.replace("size 12345", "size -1"),
        LFS.replace("size 12345", "size 9223372036854775808"),
        LFS.replace("4d7a", "4D7A"),
        LFS.replace("sha256:", "md5:"),
        LFS.replace("spec/v1", "spec/v2"),
        format!("{LFS}{}", "\n".repeat(1024)),
        LFS.lines().rev().collect::<Vec<_>>().join("\n"),
    ] {
        assert_eq!(parse(&content), None, "{content:?}");
    }
}

#[test]
fn an_extended_pointer_of_git_lfs_says_so() {
    let oid = "sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
    let text = LFS.replace("\noid", &format!("\next-0-foo {oid}\noid"));
    let pointer = parse(&text).expect("extensions are allowed");
    assert!(matches!(pointer, Pointer::Lfs { extended: true, .. }));
    assert_eq!(pointer.size(), None, "only the extension knows the size");
    for key in ["ext-", "ext-0", "ext-a-b", "ext-0-", "next-0-foo"] {
        assert_eq!(parse(text.replace("ext-0-foo", key)), None, "{key:?}");
    }
    assert_eq!(parse(format!("{LFS}ext-0-foo {oid}\n")), None);
}

proptest! {
    #[test]
    fn what_is_printed_parses(bytes: [u8; 32], size in 1..=limits::LOB_MAX) {
        let pointer = Pointer::Lob { id: LobId::from_bytes(bytes), size };
        let text = pointer.print();
        prop_assert!(text.len() <= Pointer::MAX_LEN);
        prop_assert_eq!(Pointer::parse(&text), Some(pointer));
    }

    #[test]
    fn what_parses_prints_the_same(
        kind in 0..3usize, at: prop::sample::Index, byte: u8, cut: prop::sample::Index,
    ) {
        let mut text = [HELLO, OLD, LFS][kind].as_bytes().to_vec();
        let at = at.index(text.len());
        text[at] = byte;
        if let Some(pointer) = Pointer::parse(&text) {
            // Reading Git LFS is lenient about white space; the two others are one to one.
            let same = pointer.print() == text;
            let lenient = matches!(pointer, Pointer::Lfs { .. });
            prop_assert!(same || lenient);
            prop_assert_eq!(Pointer::parse(&pointer.print()), Some(pointer));
        }
        text.truncate(cut.index(text.len()));
        Pointer::parse(&text);
    }

    #[test]
    fn garbage_never_panics(bytes: Vec<u8>) {
        prop_assert_eq!(Pointer::parse(&bytes), None);
    }
}

use super::*;

/// A message of these fields.
fn message(fields: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, field) in fields {
        bytes.extend_from_slice(&number.to_le_bytes());
        bytes.extend_from_slice(&(field.len() as u32).to_le_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

fn closed(fields: &[(u16, &[u8])]) -> Vec<u8> {
    let bytes = message(fields);
    let hash = blake3::hash(&bytes);
    let end = message(&[(Tag::End.number(), hash.as_bytes())]);
    [bytes, end].concat()
}

fn read(mut bytes: &[u8], expected: &[Tag]) -> Result<Vec<(Tag, Vec<u8>)>, WireError> {
    let mut from = FieldReader::new(&mut bytes);
    let mut fields = Vec::new();
    while let Some(field) = from.next(expected)? {
        fields.push(field);
    }
    Ok(fields)
}

const EXPECTED: &[Tag] = &[Tag::Ids, Tag::Free];

#[test]
fn what_is_written_is_read() {
    let mut to = FieldWriter::new(Vec::new());
    assert!(!to.has_begun());
    to.field(Tag::Ids, &[&[7; 16], &[8; 16]]).unwrap();
    to.field(Tag::Free, &[&[1; 8]]).unwrap();
    assert!(to.has_begun());
    let bytes = to.end().unwrap();
    let ids = [[7; 16], [8; 16]].concat();
    assert_eq!(
        bytes,
        closed(&[(Tag::Ids.number(), &ids), (Tag::Free.number(), &[1; 8])])
    );
    let fields = read(&bytes, EXPECTED).unwrap();
    assert_eq!(fields, [(Tag::Ids, ids), (Tag::Free, vec![1; 8])]);
}

#[test]
fn a_message_that_is_cut_anywhere_is_none() {
    let bytes = closed(&[(Tag::Ids.number(), &[7; 64]), (0x7000, b"later")]);
    assert_eq!(read(&bytes, EXPECTED).unwrap().len(), 1);
    for cut in 0..bytes.len() {
        let error = read(&bytes[..cut], EXPECTED).unwrap_err();
        assert!(matches!(error, WireError::Cut(_)), "{cut}: {error}");
        assert!(error.is_transient());
    }
    let long = [bytes.as_slice(), &[0]].concat();
    assert!(matches!(read(&long, EXPECTED), Err(WireError::Bad(_))));
}

#[test]
fn no_changed_bit_passes() {
    let bytes = closed(&[(Tag::Ids.number(), &[7; 64]), (Tag::Free.number(), &[1; 8])]);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            assert!(read(&bad, EXPECTED).is_err(), "{at}.{bit}");
        }
    }
}

#[test]
fn what_is_not_known_is_passed_over_or_refused_as_its_tag_says() {
    let later = closed(&[(0x7fff, b"?"), (Tag::Ids.number(), &[7; 32]), (0x7fff, b"")]);
    assert_eq!(read(&later, EXPECTED).unwrap().len(), 1);
    // Known, but of another message.
    let other = closed(&[(Tag::Program.number(), b"lob"), (Tag::Ids.number(), &[])]);
    assert_eq!(read(&other, EXPECTED).unwrap().len(), 1);
    let critical = closed(&[(0xffff, b"?")]);
    assert!(matches!(
        read(&critical, EXPECTED),
        Err(WireError::Later(_))
    ));
    let misplaced = closed(&[(Tag::Store.number(), &[1; 32])]);
    assert!(matches!(read(&misplaced, EXPECTED), Err(WireError::Bad(_))));
}

#[test]
fn lengths_are_refused_before_anything_is_reserved() {
    for tag in Tag::ALL {
        let len = tag.most() as u32 + 1;
        let bytes = [&tag.number().to_le_bytes()[..], &len.to_le_bytes()].concat();
        assert!(read(&bytes, Tag::ALL).is_err(), "{tag:?}");
        assert!(
            !matches!(read(&bytes, Tag::ALL), Err(WireError::Cut(_))),
            "{tag:?}"
        );
    }
    let much = vec![0; SKIPPED_MAX as usize / 2];
    let skipped: Vec<(u16, &[u8])> = vec![(0x7000, &much); 3];
    assert!(matches!(
        read(&closed(&skipped), EXPECTED),
        Err(WireError::Bad(_))
    ));
    let mut sink = Vec::new();
    let mut to = FieldWriter::new(&mut sink);
    assert!(
        to.field(Tag::Free, &[&[0; 9]]).is_err(),
        "nor are they written"
    );
}

#[test]
fn a_refusal_ends_an_answer_wherever_it_comes() {
    let refusal = Refusal::new(RefusalKind::Full, "no room");
    let mut bytes = Vec::new();
    let mut to = FieldWriter::new(&mut bytes);
    to.field(Tag::Ids, &[&[7; 32]]).unwrap();
    to.refuse(&refusal).unwrap();
    let error = read(&bytes, EXPECTED).unwrap_err();
    assert!(matches!(error, WireError::Refused(found) if found == refusal));
}

#[test]
fn no_two_tags_have_a_number() {
    let numbers: std::collections::HashSet<u16> = Tag::ALL.iter().map(|tag| tag.number()).collect();
    assert_eq!(numbers.len(), Tag::ALL.len());
    assert!(Tag::Ids.is_critical() && !Tag::Free.is_critical());
}

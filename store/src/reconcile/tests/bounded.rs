//! Differences of which memory is not taken for all.

use super::*;

#[test]
fn p9_of_a_long_difference_some_is_told_and_that_there_is_more() {
    let all = lobs("bounded", 6000);
    for (mine, how) in [(&all[..0], How::List), (&all[..5000], How::Sketch)] {
        let (mut mine, theirs) = (mine.to_vec(), all.clone());
        let lacking = theirs.len() - mine.len();
        let mut parts = 0;
        loop {
            let mut peer = Direct {
                set: &theirs,
                change: |_, _: &mut Vec<u8>| {},
                asked: 0,
            };
            let most = lacking / 2 - 1;
            let found = Initiator::seeded(&mine, [parts; 32]).at_most(most);
            let found = found.run(&mut peer).expect("compares");
            assert_eq!(found.here, []);
            let new = only(&found.there, &mine);
            assert_eq!(new, found.there, "only what is lacking");
            if !found.is_part {
                break mine.extend(found.there);
            }
            assert_eq!(found.there.len(), most);
            // Later ones are between sets that have more in common.
            assert!(parts > 0 || found.how == how, "{:?}", found.how);
            mine.extend(found.there);
            parts += 1;
        }
        assert_eq!(parts, 2);
        assert_eq!(sorted(mine), sorted(theirs));
    }
}

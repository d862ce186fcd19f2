//! What came before a connection broke is not sent again, but for what was under way.

use super::*;

/// Long enough that a break leaves something on both sides of it.
const LEN: usize = 24 << 20;
/// What may have to go twice of a fetch: what a connection holds that nobody has read, and a frame.
const UNDER_WAY: u64 = 10 << 20;

#[test]
fn p6_what_came_before_a_break_is_not_sent_again() {
    let tier = Tier::asked();
    let mut outcome = Outcome::default();
    let mut tried = 0;
    for carrier in Carrier::ALL {
        let Some(mut scene) = Scene::start(carrier, &[noise(9, LEN)]) else {
            continue;
        };
        let parts = tier.pick(&[4][..], &[1, 2, 3, 4, 5]);
        for (asking, way) in [(Asking::ToPush, Way::Up), (Asking::ToPull, Way::Down)] {
            for part in parts {
                for kind in [Kind::Cut, Kind::Corrupt, Kind::HalfClose] {
                    let at = LEN as u64 * part / 6;
                    let fault = Fault { way, at, kind };
                    // A server may still be at work to keep what came when it is asked again what it has:
                    // then one batch goes again, which all of this is.
                    let again = match asking {
                        Asking::ToPull => UNDER_WAY,
                        _ => LEN as u64,
                    };
                    scene.trial(asking, fault, again, &mut outcome);
                    tried += 1;
                }
            }
        }
    }
    assert_eq!(outcome.trials, tried);
    let violations = outcome.violations.join("\n");
    assert!(violations.is_empty(), "violations:\n{violations}");
}

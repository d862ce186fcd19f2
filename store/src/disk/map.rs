//! Memory maps of immutable files.
use std::ops::Deref;
/// The bytes of a whole immutable file.
#[derive(Debug)]
pub struct Map(pub(super) Vec<u8>);
impl Deref for Map {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

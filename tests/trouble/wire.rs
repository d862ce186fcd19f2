//! What git says to a filter, byte by byte.

/// A line in a packet of its own.
pub fn line(text: &str) -> Vec<u8> {
    data(format!("{text}\n").as_bytes())
}

/// Bytes in a packet of their own.
pub fn data(bytes: &[u8]) -> Vec<u8> {
    let mut packet = format!("{:04x}", bytes.len() + 4).into_bytes();
    packet.extend_from_slice(bytes);
    packet
}

/// The end of a list or a content.
pub fn flush() -> Vec<u8> {
    b"0000".to_vec()
}

/// How git begins, packet by packet.
pub fn hello() -> Vec<Vec<u8>> {
    let mut packets = vec![line("git-filter-client"), line("version=2"), flush()];
    packets.extend(["clean", "smudge", "delay"].map(|word| line(&format!("capability={word}"))));
    packets.push(flush());
    packets
}

/// A request about a file, packet by packet.
pub fn request(command: &str, path: &str, content: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = vec![
        line(&format!("command={command}")),
        line(&format!("pathname={path}")),
    ];
    if command == "smudge" {
        packets.push(line("can-delay=1"));
    }
    packets.push(flush());
    packets.extend(content.chunks(60_000).map(data));
    packets.push(flush());
    packets
}

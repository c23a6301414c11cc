//! Random text for secrets, token ids and tenant ids.

use std::io;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A random UUID (version 4). Fails when the system gives no randomness.
pub(super) fn uuid() -> io::Result<String> {
    let mut bytes = [0u8; 16];
    fill(&mut bytes)?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = hex(&bytes);
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

/// 16 random bytes as 32 hex digits, as a request token of SAP Conversational AI looks.
pub(super) fn hex_token() -> io::Result<String> {
    let mut bytes = [0u8; 16];
    fill(&mut bytes)?;
    Ok(hex(&bytes))
}

/// A client secret in the form that XSUAA gives out, `<uuid>$<base64url>=`, with a `+` and a `/` in it: each byte that has
/// ever gone wrong in a Basic header or a form.
pub(super) fn client_secret() -> io::Result<String> {
    let mut bytes = [0u8; 33];
    fill(&mut bytes)?;
    let text = URL_SAFE_NO_PAD.encode(bytes);
    let (left, right) = text.split_at(20);
    Ok(format!("{}${left}+/{right}=", uuid()?))
}

/// Random bytes.
pub(super) fn fill(bytes: &mut [u8]) -> io::Result<()> {
    rand::fill(bytes).map_err(|_| io::Error::other("the system gives no random bytes"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

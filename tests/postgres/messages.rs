//! Just enough of PostgreSQL's protocol to tell which message of a client commits.

use std::collections::HashSet;

/// What a client asks for before it says who it is: whether TLS, whether GSSAPI, to end another's statement.
const PRELUDES: [u32; 2] = [80_877_103, 80_877_104];
/// Where a message's length stands behind its type, and how long it is.
const HEAD: usize = 5;

/// Cuts what a client sends into messages.
#[derive(Debug, Default)]
pub struct Messages {
    /// What came and is not a whole message yet.
    waiting: Vec<u8>,
    /// Whether the client has said who it is; before that messages have no type.
    has_begun: bool,
    /// Prepared statements, and portals of them, that say COMMIT; the one without a name is named ''.
    statements: HashSet<Vec<u8>>,
    portals: HashSet<Vec<u8>>,
}

/// One message of a client.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// As it was sent.
    pub bytes: Vec<u8>,
    /// Whether the database commits when it gets this.
    pub commits: bool,
}

impl Messages {
    /// Takes what came.
    pub fn take(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// Returns what came and is no whole message.
    pub fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.waiting)
    }

    /// Returns the next message that is there as a whole.
    pub fn next(&mut self) -> Option<Message> {
        let head = if self.has_begun { HEAD } else { HEAD - 1 };
        let length = self.waiting.get(head - 4..head)?;
        let length = u32::from_be_bytes(length.try_into().expect("these are four bytes"));
        // The length counts itself and not the type.
        let whole = head - 4 + usize::try_from(length).ok()?;
        if self.waiting.len() < whole {
            return None;
        }
        let rest = self.waiting.split_off(whole);
        let bytes = std::mem::replace(&mut self.waiting, rest);
        let commits = if self.has_begun {
            self.read(bytes[0], &bytes[HEAD..])
        } else {
            let code = bytes.get(4..8).and_then(|code| code.try_into().ok());
            let code = code.map(u32::from_be_bytes);
            self.has_begun = !code.is_some_and(|code| PRELUDES.contains(&code));
            false
        };
        Some(Message { bytes, commits })
    }

    /// Notes what a message prepares; true when it commits.
    fn read(&mut self, kind: u8, body: &[u8]) -> bool {
        match kind {
            b'Q' => says_commit(text(body).0),
            b'P' => {
                let (name, rest) = text(body);
                note(&mut self.statements, name, says_commit(text(rest).0));
                false
            }
            b'B' => {
                let (portal, rest) = text(body);
                let says = self.statements.contains(text(rest).0);
                note(&mut self.portals, portal, says);
                false
            }
            b'E' => self.portals.contains(text(body).0),
            _ => false,
        }
    }
}

fn note(names: &mut HashSet<Vec<u8>>, name: &[u8], is_in: bool) {
    if is_in {
        names.insert(name.to_owned());
    } else {
        names.remove(name);
    }
}

/// Splits a text that ends with a zero from what follows.
fn text(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == 0) {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[]),
    }
}

/// Whether the last of some statements is COMMIT.
fn says_commit(statements: &[u8]) -> bool {
    let mut said = statements
        .rsplit(|byte| *byte == b';')
        .map(<[u8]>::trim_ascii)
        .skip_while(|said| said.is_empty());
    said.next()
        .is_some_and(|last| last.eq_ignore_ascii_case(b"COMMIT"))
}

//! What goes on behind an answer, on the connection that it goes out on: a tunnel, or the rest of an upload.
//!
//! Invariant: the request path leaves it here before it gives the answer, and the connection takes it once. The rest of an
//! upload is not kept alive by it.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use super::tunnel::Tunnel;
use super::upload::Progress;

/// Where the request path leaves what goes on behind an answer, for the connection that it goes out on.
#[derive(Debug, Default)]
pub struct Sequel {
    tunnel: RefCell<Option<Tunnel>>,
    upload: RefCell<Weak<Progress>>,
}

impl Sequel {
    /// Makes the connection a tunnel after the answer that is about to be given, which must be a 101.
    pub fn set_tunnel(&self, tunnel: Tunnel) {
        *self.tunnel.borrow_mut() = Some(tunnel);
    }

    /// The tunnel, once.
    pub fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.borrow_mut().take()
    }

    /// The answer that is about to be given has come before the end of its request.
    pub fn set_upload(&self, upload: &Rc<Progress>) {
        *self.upload.borrow_mut() = Rc::downgrade(upload);
    }

    /// The rest of that request, once.
    pub fn take_upload(&self) -> Weak<Progress> {
        self.upload.take()
    }
}

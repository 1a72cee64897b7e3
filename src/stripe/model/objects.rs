//! Reading and writing one object.

use serde_json::Value;

use super::Model;
use super::fault::Fault;
use super::store::Kind;

impl Model {
    /// Returns a copy of an object; `null`: there is none.
    pub(super) fn object(&self, kind: Kind, id: &str) -> Value {
        self.store.get(kind, id).cloned().unwrap_or_default()
    }

    /// Returns the object that a parameter names.
    pub(super) fn need(&self, kind: Kind, id: &str, param: &str) -> Result<Value, Fault> {
        self.store
            .get(kind, id)
            .filter(|object| object["deleted"] != true)
            .cloned()
            .ok_or_else(|| Fault::no_such(kind, id, param))
    }

    /// Returns the object that the path names, unless it was deleted.
    pub(super) fn find(&self, kind: Kind, id: &str) -> Result<Value, Fault> {
        self.store
            .get(kind, id)
            .filter(|object| object["deleted"] != true)
            .cloned()
            .ok_or_else(|| Fault::not_found(kind, id))
    }

    /// Stores a new object and tells of it.
    pub(super) fn made(&mut self, kind: Kind, object: Value, event: &str) -> Value {
        self.store.put(kind, object.clone());
        self.tell(event, &object);
        object
    }

    /// Stores an object that changed, and tells what changed.
    pub(super) fn changed(&mut self, kind: Kind, object: Value, event: &str) -> Value {
        let id = object["id"].as_str().unwrap_or_default();
        let before = self.object(kind, id);
        self.store.put(kind, object.clone());
        self.tell_change(event, &before, &object);
        object
    }
}

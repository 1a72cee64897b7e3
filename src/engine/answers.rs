//! Answers that are kept, so that the same request is done once.

use super::mutation::Request;
use super::step::Step;
use crate::storage::StoredAnswer;

impl Step<'_, '_> {
    /// Returns the answer that the same request got before.
    pub(super) fn answered(&self, request: &Request) -> Option<StoredAnswer> {
        let stored = self
            .place
            .request
            .and_then(|nth| self.batch.found.requests.get(nth));
        stored
            .cloned()
            .flatten()
            .or_else(|| self.batch.answers.get(&request.key).cloned())
    }

    /// Keeps an answer for repeats of the request.
    pub(super) fn keep_answer(&mut self, request: &Request, answer: Box<str>) {
        let stored = StoredAnswer {
            key: request.key.clone(),
            content: request.content,
            answer,
        };
        self.batch
            .answers
            .insert(request.key.clone(), stored.clone());
        self.batch.changes.answers.push(stored);
    }
}

//! Payments as Stripe has them, and what was done about each: asked for under a token, and taken if nothing newer was.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::document::{read, write};
use crate::domain::billing::{Expected, Payment, PaymentStatus, Settlement, Verdict};
use crate::domain::id::{CustomerId, GrantId, RequestId};
use crate::domain::time::{Span, Timestamp};
use crate::engine::Engine;
use crate::engine::cell::Cell;
use crate::engine::error::{Error, Thing};
use crate::engine::mutation::{Applied, Mutation};
use crate::engine::step::Step;
use crate::storage::{BillingKey, BillingKind, BillingQuery, BillingRow, Page};

/// How long after something could not be done about a payment it is tried again.
const TRIED_AGAIN: Span = Span::from_hours(1);

/// A payment and what was done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentView {
    /// Whose.
    pub customer: CustomerId,
    /// As Stripe had it when it was asked last.
    pub payment: Payment,
    /// What was done about it.
    pub settlement: Settlement,
}

/// What is kept of a payment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Kept {
    /// The token of the newest question.
    asked: i64,
    /// The token of the question whose answer was taken last.
    taken: i64,
    /// The answer.
    payment: Option<Payment>,
    settlement: Settlement,
}

impl Engine {
    /// Returns a token under which to ask Stripe about a payment of a customer: higher than any before.
    ///
    /// # Errors
    /// When there is no such customer, the payment is another's, or the store fails.
    pub async fn ask_about_payment(&self, customer: &CustomerId, id: &str) -> Result<i64, Error> {
        let cells = [self.customer(customer).await?];
        let key = key(id);
        self.submit(Ask { cells, key }).await
    }

    /// Takes what Stripe has of a payment as the answer to a question, unless a newer one was answered, and does what follows
    /// from it: credits come, go, or rest.
    ///
    /// # Errors
    /// When nobody asked about it, or the store fails.
    pub async fn take_payment(
        &self,
        customer: &CustomerId,
        token: i64,
        payment: Payment,
    ) -> Result<PaymentView, Error> {
        let take = Take {
            cells: [self.customer(customer).await?],
            key: key(&payment.id),
            token,
            payment,
            fresh: GrantId::new(Self::fresh_id().to_string()).map_err(|_| Error::Internal)?,
            freezes: self.billing_terms().disputes_freeze,
        };
        self.submit(take).await
    }

    /// Says whether a payment counts; one that does is used up by the request.
    ///
    /// # Errors
    /// When the payment is not known, or the store fails.
    pub async fn verify_payment(
        &self,
        (caller, request): (&str, &RequestId),
        customer: &CustomerId,
        id: &str,
        (cents, livemode): (i64, bool),
    ) -> Result<(Verdict, Option<PaymentView>), Error> {
        let verify = Verify {
            cells: [self.customer(customer).await?],
            key: key(id),
            request: format!("{request} {caller}"),
            cents,
            livemode,
        };
        self.submit(verify).await
    }

    /// Returns a payment; `None`: it is not known here.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn payment(&self, id: &str) -> Result<Option<PaymentView>, Error> {
        let query = BillingQuery {
            id: Some(id.into()),
            ..BillingQuery::of(BillingKind::Payment, 1)
        };
        Ok(self.payments(query).await?.items.into_iter().next())
    }

    /// Lists payments, the newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list_payments(
        &self,
        customer: Option<CustomerId>,
        status: Option<PaymentStatus>,
        (after, limit): (Option<String>, usize),
    ) -> Result<Page<PaymentView>, Error> {
        let query = BillingQuery {
            customer,
            state: status.map(|status| status.word().into()),
            after,
            ..BillingQuery::of(BillingKind::Payment, limit)
        };
        self.payments(query).await
    }

    /// Returns payments that are to be looked at again, the longest overdue first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn due_payments(&self, limit: usize) -> Result<Vec<PaymentView>, Error> {
        let query = BillingQuery {
            due_by: Some(self.now()),
            ..BillingQuery::of(BillingKind::Payment, limit)
        };
        Ok(self.payments(query).await?.items)
    }

    async fn payments(&self, query: BillingQuery) -> Result<Page<PaymentView>, Error> {
        let page = self.shared.store.billing(query).await?;
        let mut items = Vec::with_capacity(page.items.len());
        for row in page.items {
            let kept: Kept = read(&row)?;
            items.extend(view(row.customer, kept));
        }
        let next = page.next;
        Ok(Page { items, next })
    }
}

fn key(id: &str) -> BillingKey {
    BillingKey {
        kind: BillingKind::Payment,
        id: id.into(),
    }
}

/// Returns a payment that was answered for.
fn view(customer: Option<CustomerId>, kept: Kept) -> Option<PaymentView> {
    Some(PaymentView {
        customer: customer?,
        payment: kept.payment?,
        settlement: kept.settlement,
    })
}

fn row(
    key: &BillingKey,
    customer: &CustomerId,
    kept: &Kept,
    now: Timestamp,
) -> Result<BillingRow, Error> {
    let payment = kept.payment.as_ref();
    let due_time = match (payment, &kept.settlement.fault) {
        (_, Some(_)) => Some(now.plus(TRIED_AGAIN)),
        (Some(payment), None) => payment.look_again(now),
        (None, None) => None,
    };
    Ok(BillingRow {
        key: key.clone(),
        customer: Some(customer.clone()),
        state: payment
            .map_or("asked", |payment| payment.status.word())
            .into(),
        due_time,
        create_time: payment.map_or(now, |payment| payment.create_time),
        body: write(kept)?,
    })
}

/// Takes a token.
struct Ask {
    cells: [Arc<Cell>; 1],
    key: BillingKey,
}

impl Mutation for Ask {
    const METHOD: &'static str = "AskAboutPayment";
    type Answer = i64;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn documents(&self) -> Vec<BillingKey> {
        vec![self.key.clone()]
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<i64>, Error> {
        let customer = &self.cells[0].id;
        let mut kept = Kept::default();
        if let Some(row) = step.document(0, &self.key) {
            if row.customer.as_ref() != Some(customer) {
                return Err(Error::not_found(Thing::Payment, &self.key.id));
            }
            kept = read(&row)?;
        }
        kept.asked += 1;
        let row = row(&self.key, customer, &kept, step.now())?;
        step.put_document(row);
        Ok(Applied::Done(kept.asked))
    }
}

/// Takes an answer.
struct Take {
    cells: [Arc<Cell>; 1],
    key: BillingKey,
    token: i64,
    payment: Payment,
    /// Names the grant, if there is to be one.
    fresh: GrantId,
    freezes: bool,
}

impl Mutation for Take {
    const METHOD: &'static str = "TakePayment";
    type Answer = PaymentView;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn documents(&self) -> Vec<BillingKey> {
        vec![self.key.clone()]
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<PaymentView>, Error> {
        let (now, customer) = (step.now(), &self.cells[0].id);
        let unknown = || Error::not_found(Thing::Payment, &self.key.id);
        let found = step.document(0, &self.key).ok_or_else(unknown)?;
        let mut kept: Kept = read(&found)?;
        if self.token > kept.taken {
            kept.taken = self.token;
            let (payment, freezes) = (&self.payment, self.freezes);
            let settlement = &mut kept.settlement;
            step.with(&self.cells[0], |account, _| {
                if account.customer.delete_time.is_some() {
                    settlement.fault = Some("the customer was deleted".into());
                } else {
                    account.settle_payment(payment, settlement, (&self.fresh, freezes), now);
                }
            })?;
            kept.payment = Some(payment.clone());
            step.put_document(row(&self.key, customer, &kept, now)?);
        }
        let view = view(Some(customer.clone()), kept).ok_or_else(unknown)?;
        Ok(Applied::Done(view))
    }
}

/// Says whether a payment counts.
struct Verify {
    cells: [Arc<Cell>; 1],
    key: BillingKey,
    request: String,
    cents: i64,
    livemode: bool,
}

impl Mutation for Verify {
    const METHOD: &'static str = "VerifyPayment";
    type Answer = (Verdict, Option<PaymentView>);

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn documents(&self) -> Vec<BillingKey> {
        vec![self.key.clone()]
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<Self::Answer>, Error> {
        let unknown = || Error::not_found(Thing::Payment, &self.key.id);
        let found = step.document(0, &self.key).ok_or_else(unknown)?;
        let mut kept: Kept = read(&found)?;
        let payment = kept.payment.clone().ok_or_else(unknown)?;
        let customer = &self.cells[0].id;
        if found.customer.as_ref() != Some(customer) {
            return Ok(Applied::Refused((Verdict::NotOurs, None)));
        }
        let expected = Expected {
            cents: self.cents,
            livemode: self.livemode,
            request: &self.request,
        };
        let before = kept.settlement.clone();
        let verdict = kept.settlement.verify(&payment, expected);
        if kept.settlement != before {
            let body = write(&kept)?;
            step.put_document(BillingRow { body, ..found });
        }
        let view = view(Some(customer.clone()), kept);
        Ok(Applied::Done((verdict, view)))
    }
}

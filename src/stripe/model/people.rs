//! What people do, outside the API: pay at a page, change their card, dispute a payment.

use serde_json::{Value, json};

use super::Model;
use super::cards::Card;
use super::fault::Fault;
use super::form::Params;
use super::payment_intents::Ask;
use super::shape::{elements, int, text, with_nulls};
use super::store::Kind;

/// Why something that a person does is not possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such object.
    #[error("there is no {0}")]
    NotFound(String),
    /// It was completed, expired or closed before.
    #[error("it is not open any more")]
    NotOpen,
    /// The number is not that of a test card.
    #[error("this is not the number of a test card")]
    UnknownCard,
    /// The bank refused the card.
    #[error("the card was declined: {decline_code}")]
    Declined {
        /// `decline_code`, as the API says it.
        decline_code: String,
    },
    /// It does not fit the state of the account.
    #[error("{0}")]
    Invalid(String),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        match fault.decline_code {
            Some(code) => Self::Declined {
                decline_code: code.to_owned(),
            },
            None => Self::Invalid(fault.message),
        }
    }
}

impl Model {
    /// Pays at a checkout session's page. A card that is declined leaves the session open.
    ///
    /// # Errors
    /// When there is no such session, it is not open, or the card does not pay.
    pub fn complete_checkout(
        &mut self,
        session_id: &str,
        card_number: &str,
    ) -> Result<(), Refused> {
        self.store.settle();
        let session = self.existing(Kind::Session, session_id)?;
        if session["status"] != "open" || int(&session["expires_at"]) <= self.now {
            return Err(Refused::NotOpen);
        }
        let card = Card::of_number(card_number).ok_or(Refused::UnknownCard)?;
        if session["mode"] == "subscription" {
            self.complete_subscription(session, card)
        } else {
            self.complete_payment(session, card)
        }
    }

    /// Lets a session's time be over.
    ///
    /// # Errors
    /// When there is no such session, or it is not open.
    pub fn expire_checkout(&mut self, session_id: &str) -> Result<(), Refused> {
        self.store.settle();
        let session = self.existing(Kind::Session, session_id)?;
        if session["status"] != "open" {
            return Err(Refused::NotOpen);
        }
        self.end_session(session_id);
        Ok(())
    }

    /// Pays at a payment link's page, and returns the id of the session that this makes.
    ///
    /// # Errors
    /// When there is no such link, it is not active, or the card does not pay.
    pub fn pay_link(&mut self, link_id: &str, card_number: &str) -> Result<String, Refused> {
        self.store.settle();
        let link = self.existing(Kind::PaymentLink, link_id)?;
        if link["active"] != true {
            return Err(Refused::NotOpen);
        }
        let given = Params(link["_given"].clone());
        let session = self.new_session(&given, Some(link_id))?;
        let id = text(&session["id"]).to_owned();
        self.complete_checkout(&id, card_number)?;
        Ok(id)
    }

    /// Gives a customer a card, which pays from now on.
    ///
    /// # Errors
    /// When there is no such customer, or the bank refuses the card.
    pub fn set_card(&mut self, customer_id: &str, card_number: &str) -> Result<(), Refused> {
        self.store.settle();
        let mut customer = self.existing(Kind::Customer, customer_id)?;
        let card = Card::of_number(card_number).ok_or(Refused::UnknownCard)?;
        let method = self.new_method(card);
        self.attach(&method, customer_id)?;
        customer["invoice_settings"]["default_payment_method"] = method.as_str().into();
        self.changed(Kind::Customer, customer, "customer.updated");
        // Subscriptions that were paid at a page have a card of their own, which the portal replaces as well.
        let named: Vec<Value> = self
            .store
            .all(Kind::Subscription)
            .filter(|one| one["customer"] == customer_id && one["ended_at"].is_null())
            .filter(|one| one["default_payment_method"].is_string())
            .cloned()
            .collect();
        for mut subscription in named {
            subscription["default_payment_method"] = method.as_str().into();
            let event = "customer.subscription.updated";
            self.changed(Kind::Subscription, subscription, event);
        }
        Ok(())
    }

    /// Disputes an amount of a charge, in cents, and returns the id of the dispute.
    ///
    /// # Errors
    /// When there is no such charge, it was not paid, is disputed already, or is smaller.
    pub fn dispute(&mut self, charge_id: &str, amount: i64) -> Result<String, Refused> {
        self.store.settle();
        let charge = self.existing(Kind::Charge, charge_id)?;
        if charge["paid"] != true || charge["disputed"] == true {
            return Err(Refused::NotOpen);
        }
        if !(1..=int(&charge["amount"])).contains(&amount) {
            return Err(Refused::Invalid("the charge has another amount".to_owned()));
        }
        Ok(self.open_dispute(charge_id, amount))
    }

    /// Decides a dispute.
    ///
    /// # Errors
    /// When there is no such dispute, or it is decided.
    pub fn close_dispute(&mut self, dispute_id: &str, won: bool) -> Result<(), Refused> {
        self.store.settle();
        self.existing(Kind::Dispute, dispute_id)?;
        if self.end_dispute(dispute_id, won) {
            Ok(())
        } else {
            Err(Refused::NotOpen)
        }
    }

    fn existing(&self, kind: Kind, id: &str) -> Result<Value, Refused> {
        self.find(kind, id)
            .map_err(|_| Refused::NotFound(format!("{}: {id}", kind.object())))
    }

    fn complete_subscription(&mut self, mut session: Value, card: Card) -> Result<(), Refused> {
        let mark = self.mark();
        let given = Params(session["_given"].clone());
        match self.subscribe(&mut session, &given, card) {
            Ok(()) => {
                self.completed(session);
                Ok(())
            }
            Err(fault) => {
                self.back_to(mark);
                if fault.decline_code.is_some() && int(&session["amount_total"]) > 0 {
                    // The failed payment is all that remains: the subscription comes with a payment that succeeds.
                    let ask = ask(&self.object(Kind::Session, text(&session["id"])), &given);
                    let intent = self.new_intent(&ask);
                    let method = self.new_method(card);
                    let _ = self.attempt(text(&intent["id"]), &method);
                }
                Err(fault.into())
            }
        }
    }

    fn subscribe(&mut self, session: &mut Value, given: &Params, card: Card) -> Result<(), Fault> {
        let customer = self.payer(session)?;
        let method = self.method_at_page(card, &customer);
        let data = given
            .part("subscription_data")
            .map_or_else(|| json!({}), |part| part.0);
        if int(&session["amount_total"]) == 0
            && let Card::Declines(decline) = card
        {
            return Err(Fault::declined(decline));
        }
        let items: Vec<Value> = elements(&session["line_items"]["data"])
            .iter()
            .filter(|item| {
                let price = self.object(Kind::Price, text(&item["price"]));
                price["type"] == "recurring"
            })
            .map(|item| {
                let mut one = json!({"price": item["price"]});
                if let Some(quantity) = item["quantity"].as_i64() {
                    one["quantity"] = quantity.to_string().into();
                }
                one
            })
            .collect();
        let mut params = data;
        params["customer"] = customer.as_str().into();
        params["items"] = items.into();
        params["default_payment_method"] = method.into();
        params["payment_behavior"] = "error_if_incomplete".into();
        params["discounts"] = given.0["discounts"].clone();
        self.once_lines(session, &customer);
        let id = self.create_subscription(&Params(params))?;
        let subscription = self.object(Kind::Subscription, &id);
        session["subscription"] = id.into();
        session["invoice"] = subscription["latest_invoice"].clone();
        session["customer"] = customer.into();
        Ok(())
    }

    /// Puts what is sold once beside a subscription on its first invoice.
    fn once_lines(&mut self, session: &Value, customer: &str) {
        for item in elements(&session["line_items"]["data"]) {
            let price = self.object(Kind::Price, text(&item["price"]));
            if price["type"] == "one_time" {
                self.new_invoice_item(json!({
                    "id": "",
                    "amount": item["amount_subtotal"],
                    "currency": item["currency"],
                    "customer": customer,
                    "description": item["description"],
                    "discountable": true,
                    "metadata": {},
                    "period": {"end": self.now, "start": self.now},
                    "pricing": {
                        "price_details": {"price": price["id"], "product": price["product"]},
                        "type": "price_details",
                        "unit_amount_decimal": price["unit_amount_decimal"],
                    },
                    "proration": false,
                    "quantity": item["quantity"],
                }));
            }
        }
    }

    fn complete_payment(&mut self, mut session: Value, card: Card) -> Result<(), Refused> {
        let given = Params(session["_given"].clone());
        let data = given.part("payment_intent_data");
        let saves = data
            .as_ref()
            .is_some_and(|data| data.has("setup_future_usage"));
        let known = session["customer"].is_string() || session["customer_creation"] == "always";
        if known || saves {
            session["customer"] = self.payer(&session)?.into();
        }
        let id = if let Some(id) = session["payment_intent"].as_str() {
            id.to_owned()
        } else {
            let mut intent = self.new_intent(&ask(&session, &given));
            if let Some(data) = &data {
                intent["setup_future_usage"] = data.text_or_null("setup_future_usage");
            }
            self.store.put(Kind::PaymentIntent, intent.clone());
            self.tell("payment_intent.created", &intent);
            text(&intent["id"]).to_owned()
        };
        session["payment_intent"] = id.as_str().into();
        self.store.put(Kind::Session, session.clone());
        let method = match session["customer"].as_str() {
            Some(customer) if saves => self.method_at_page(card, customer),
            Some(_) | None => self.new_method(card),
        };
        self.attempt(&id, &method).map_err(Fault::declined)?;
        self.completed(session);
        Ok(())
    }

    /// Returns the customer of a session; who comes without one becomes one.
    fn payer(&mut self, session: &Value) -> Result<String, Fault> {
        if let Some(customer) = session["customer"].as_str() {
            return Ok(customer.to_owned());
        }
        let email = session["customer_email"]
            .as_str()
            .unwrap_or("payer@example.com");
        let customer = self.new_customer(&Params(json!({"email": email})))?;
        Ok(text(&customer["id"]).to_owned())
    }

    /// Makes the payment method of a card that is typed at a page. The bank is asked when it pays, not before.
    fn method_at_page(&mut self, card: Card, customer: &str) -> String {
        let id = self.new_method(card);
        let mut method = self.object(Kind::PaymentMethod, &id);
        method["customer"] = customer.into();
        self.store.put(Kind::PaymentMethod, method.clone());
        self.tell("payment_method.attached", &method);
        id
    }

    fn completed(&mut self, mut session: Value) {
        let customer = self.object(Kind::Customer, text(&session["customer"]));
        let email = match (&customer["email"], &session["customer_email"]) {
            (Value::Null, Value::Null) => "payer@example.com".into(),
            (Value::Null, given) => given.clone(),
            (known, _) => known.clone(),
        };
        let details =
            json!({"email": email, "name": customer["name"], "tax_exempt": "none", "tax_ids": []});
        session["customer_details"] =
            with_nulls(details, "address business_name individual_name phone");
        session["status"] = "complete".into();
        session["url"] = Value::Null;
        session["payment_status"] = if int(&session["amount_total"]) == 0 {
            "no_payment_required"
        } else {
            "paid"
        }
        .into();
        self.store.put(Kind::Session, session.clone());
        self.tell("checkout.session.completed", &session);
    }
}

/// Returns what a session's payment asks for.
fn ask(session: &Value, given: &Params) -> Ask {
    let data = given
        .part("payment_intent_data")
        .unwrap_or_else(|| Params(json!({})));
    Ask {
        amount: int(&session["amount_total"]),
        currency: text(&session["currency"]).to_owned(),
        customer: session["customer"].clone(),
        description: data.text_or_null("description"),
        metadata: data.merge_metadata(&json!({})),
        invoice: String::new(),
    }
}

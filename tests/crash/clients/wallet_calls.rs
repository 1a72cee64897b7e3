//! Calls to wallets, and calls that take events back, as they are sent and answered.

use bursar::grpc::pb;
use bursar::grpc::pb::metering_service_client::MeteringServiceClient;
use bursar::grpc::pb::wallet_service_client::WalletServiceClient;
use tonic::Status;
use tonic::transport::Channel;

use super::job::seconds;
use super::wire::timestamp;
use crate::credits::{Balance, Credits, Moved};
use crate::journal::Answer;
use crate::world::{PARTS, UNIT, customer_id, part_no};

/// Takes an event back.
pub async fn void(
    channel: Channel,
    customer: u32,
    request_id: String,
    event: String,
) -> Result<Answer, Status> {
    let request = pb::VoidUsageRequest {
        request_id,
        customer_id: customer_id(customer),
        event_ids: vec![event],
        ..pb::VoidUsageRequest::default()
    };
    let answer = MeteringServiceClient::new(channel)
        .void_usage(request)
        .await?;
    let results = answer.into_inner().results;
    let status = results.first().map(pb::VoidResult::status);
    Ok(match status {
        Some(pb::VoidStatus::Voided) => Answer::Voided(true),
        Some(pb::VoidStatus::AlreadyVoided) => Answer::Voided(false),
        other => Answer::Failed(format!("it came to {other:?}")),
    })
}

/// Changes a wallet.
pub async fn change(
    channel: Channel,
    customer: u32,
    request_id: String,
    credits: Credits,
) -> Result<Answer, Status> {
    let mut service = WalletServiceClient::new(channel);
    let asked = Asked {
        customer,
        request_id,
    };
    let moved = match credits {
        Credits::Grant { .. } => asked.grant(&mut service, credits).await,
        Credits::Debit {
            part,
            amount,
            may_owe,
        } => asked.debit(&mut service, (part, amount, may_owe)).await,
        Credits::Hold { part, amount, ttl } => asked.hold(&mut service, (part, amount, ttl)).await,
        Credits::Capture {
            hold,
            amount,
            is_all,
            keep_open,
        } => {
            let amount = (!is_all).then_some(amount);
            asked.capture(&mut service, (hold, amount, keep_open)).await
        }
        Credits::Release { hold } => asked.release(&mut service, hold).await,
        Credits::Transfer { from, to, amount } => {
            asked.transfer(&mut service, (from, to, amount)).await
        }
        Credits::Expire { part, grant } => asked.expire(&mut service, (part, grant)).await,
        Credits::ClawBack {
            part,
            grant,
            amount,
        } => asked.claw_back(&mut service, (part, grant, amount)).await,
    };
    moved.map(Answer::Moved)
}

type Service = WalletServiceClient<Channel>;
type Told = Result<Moved, Status>;

struct Asked {
    customer: u32,
    request_id: String,
}

impl Asked {
    fn customer_id(&self) -> String {
        customer_id(self.customer)
    }

    fn name(&self, part: usize) -> pb::WalletName {
        pb::WalletName {
            customer_id: self.customer_id(),
            subaccount_id: PARTS[part].to_owned(),
            credit_unit: UNIT.to_owned(),
        }
    }

    async fn grant(self, service: &mut Service, credits: Credits) -> Told {
        let Credits::Grant {
            part,
            amount,
            payment,
            expire_time,
        } = credits
        else {
            unreachable!("{credits:?} adds no credits");
        };
        let (category, source) = match payment {
            Some(_) => (pb::CreditCategory::Paid, pb::CreditSource::Stripe),
            None => (pb::CreditCategory::Promotional, pb::CreditSource::Promotion),
        };
        let request = pb::GrantCreditsRequest {
            wallet: Some(self.name(part)),
            request_id: self.request_id,
            amount_micros: amount,
            category: category.into(),
            source: source.into(),
            reference: payment.unwrap_or_default(),
            expire_time: expire_time.map(timestamp),
            ..pb::GrantCreditsRequest::default()
        };
        let answer = service.grant_credits(request).await?.into_inner();
        let grant = answer.grant.unwrap_or_default();
        let told = (grant.grant_id, grant.amount_micros);
        Ok(moved(told, [(part, answer.balance)]))
    }

    async fn debit(
        self,
        service: &mut Service,
        (part, amount, may_owe): (usize, i64, bool),
    ) -> Told {
        let request = pb::DebitCreditsRequest {
            spender: Some(self.name(part)),
            request_id: self.request_id,
            amount_micros: amount,
            allow_receivable: may_owe,
            ..pb::DebitCreditsRequest::default()
        };
        let answer = service.debit_credits(request).await?.into_inner();
        let payer = answer.wallet.unwrap_or_default().subaccount_id;
        Ok(moved((String::new(), 0), [(place(&payer), answer.balance)]))
    }

    async fn hold(self, service: &mut Service, (part, amount, ttl): (usize, i64, i64)) -> Told {
        let request = pb::HoldCreditsRequest {
            spender: Some(self.name(part)),
            request_id: self.request_id,
            amount_micros: amount,
            ttl: Some(seconds(ttl)),
            ..pb::HoldCreditsRequest::default()
        };
        let answer = service.hold_credits(request).await?.into_inner();
        let hold = answer.hold.unwrap_or_default();
        let amount = hold.amount_micros;
        Ok(of_hold(hold, amount, answer.balance))
    }

    async fn capture(
        self,
        service: &mut Service,
        (hold_id, amount_micros, keep_open): (String, Option<i64>, bool),
    ) -> Told {
        let request = pb::CaptureHoldRequest {
            customer_id: self.customer_id(),
            request_id: self.request_id,
            hold_id,
            amount_micros,
            keep_open,
            ..pb::CaptureHoldRequest::default()
        };
        let answer = service.capture_hold(request).await?.into_inner();
        let hold = answer.hold.unwrap_or_default();
        let captured = hold.captured_micros;
        Ok(of_hold(hold, captured, answer.balance))
    }

    async fn release(self, service: &mut Service, hold_id: String) -> Told {
        let request = pb::ReleaseHoldRequest {
            customer_id: self.customer_id(),
            request_id: self.request_id,
            hold_id,
            ..pb::ReleaseHoldRequest::default()
        };
        let answer = service.release_hold(request).await?.into_inner();
        let hold = answer.hold.unwrap_or_default();
        let captured = hold.captured_micros;
        Ok(of_hold(hold, captured, answer.balance))
    }

    async fn transfer(
        self,
        service: &mut Service,
        (from, to, amount): (usize, usize, i64),
    ) -> Told {
        let request = pb::TransferCreditsRequest {
            customer_id: self.customer_id(),
            request_id: self.request_id,
            credit_unit: UNIT.to_owned(),
            from_subaccount_id: PARTS[from].to_owned(),
            to_subaccount_id: PARTS[to].to_owned(),
            amount_micros: amount,
            ..pb::TransferCreditsRequest::default()
        };
        let answer = service.transfer_credits(request).await?.into_inner();
        let both = [(from, answer.from_balance), (to, answer.to_balance)];
        Ok(moved((String::new(), 0), both))
    }

    async fn expire(self, service: &mut Service, (part, grant_id): (usize, String)) -> Told {
        let request = pb::ExpireGrantRequest {
            customer_id: self.customer_id(),
            request_id: self.request_id,
            grant_id,
            ..pb::ExpireGrantRequest::default()
        };
        let answer = service.expire_grant(request).await?.into_inner();
        let grant = answer.grant.unwrap_or_default();
        Ok(moved((grant.grant_id, 0), [(part, answer.balance)]))
    }

    async fn claw_back(
        self,
        service: &mut Service,
        (part, grant_id, amount): (usize, String, i64),
    ) -> Told {
        let request = pb::ClawBackGrantRequest {
            customer_id: self.customer_id(),
            request_id: self.request_id,
            grant_id,
            amount_micros: Some(amount),
            ..pb::ClawBackGrantRequest::default()
        };
        let answer = service.claw_back_grant(request).await?.into_inner();
        let grant = answer.grant.unwrap_or_default();
        let told = (grant.grant_id, grant.returned_micros);
        Ok(moved(told, [(part, answer.balance)]))
    }
}

/// Returns the place of a part; of one that is not ours none that there is, so that the checker finds it.
fn place(part: &str) -> usize {
    part_no(part).unwrap_or(usize::MAX)
}

fn of_hold(hold: pb::CreditHold, told: i64, balance: Option<pb::CreditBalance>) -> Moved {
    let payer = place(&hold.wallet_subaccount_id);
    moved((hold.hold_id, told), [(payer, balance)])
}

fn moved<const N: usize>(
    (id, told): (String, i64),
    wallets: [(usize, Option<pb::CreditBalance>); N],
) -> Moved {
    let balance = |held: Option<pb::CreditBalance>| {
        let held = held.unwrap_or_default();
        Balance {
            available: held.available_micros,
            held: held.held_micros,
            owed: held.receivable_micros,
        }
    };
    Moved {
        id,
        told,
        wallets: wallets
            .into_iter()
            .map(|(part, held)| (part, balance(held)))
            .collect(),
    }
}

//! `bursar stripe import`: customers and subscriptions that Stripe has become those of a server.

mod links;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use tonic::transport::Channel;

use self::links::{Link, Ours, Rules, Theirs, links, mapping};
use super::{Account, refused};
use crate::cli::connect::{self, SERVER_DEFAULT, connect, run_async, timed};
use crate::cli::failure::{FAULT, Failure};
use crate::cli::print::{Paint, Tone};
use crate::grpc::pb;
use crate::stripe::gateway::{
    CUSTOMER_KEY, Cursor, CustomerChange, Fault, Gateway, Subscription, SubscriptionFilter,
};
use crate::stripe::plan_word;
use pb::customer_service_client::CustomerServiceClient;
use pb::subscription_service_client::SubscriptionServiceClient;

/// Most customers that a server is asked for at a time.
const PAGE: i32 = 1_000;

/// The command line of `bursar stripe import`.
#[derive(Debug, Args)]
#[command(after_help = "\
A customer at Stripe is recognised, in this order, by the mapping, by its metadata bursar_customer, by the metadata that
--metadata-key names, and by its email, if one customer on each side has it. What is found is printed first. Linking writes
bursar_customer into the customer's metadata at Stripe, and the server takes over its subscriptions; nothing else changes
there. The server must have the key of the same account. A second run links what is left.

Examples:
  bursar stripe import --dry-run
  bursar stripe import --mapping customers.csv --metadata-key user_id --create

A mapping has lines such as cus_Q1w2e3,acme. A subscription is to a plan when its price is one that `bursar stripe setup`
made or, with --price, took over.")]
pub(super) struct ImportArgs {
    /// The server's gRPC address
    #[arg(long, env = "BURSAR_SERVER", default_value = SERVER_DEFAULT, value_name = "ADDR")]
    server: String,
    /// A file that says which customer is which: an id at Stripe, a comma, an id of the server's
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// The metadata of customers at Stripe under which their id of the server's stands
    #[arg(long, value_name = "KEY")]
    metadata_key: Option<String>,
    /// Create customers that the server lacks: under the id that is known, or else under that at Stripe
    #[arg(long)]
    create: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// Runs `bursar stripe import`.
pub(super) fn import(account: &Account, args: &ImportArgs) -> Result<ExitCode, Failure> {
    let rules = Rules {
        mapping: read_mapping(args.mapping.as_deref())?,
        metadata_key: args.metadata_key.clone(),
        create: args.create,
    };
    run_async(async {
        let channel = connect(&args.server).await?;
        let theirs = customers(&account.gateway).await?;
        let mut subscriptions = subscriptions(&account.gateway).await?;
        let ours = held(&channel).await?;
        let found: Vec<(Theirs, Link)> = {
            let links = links(&theirs, &ours, &rules);
            theirs.into_iter().zip(links).collect()
        };
        let clashes = print(&found, &subscriptions);
        let new = |(_, link): &&(Theirs, Link)| matches!(link, Link::New { .. });
        let count = found.iter().filter(new).count();
        if args.dry_run {
            println!("dry run: {count} customers would be linked");
            return Ok(ExitCode::from(if clashes == 0 { 0 } else { FAULT }));
        }
        let mut run = Run {
            account,
            customers: CustomerServiceClient::new(channel.clone()),
            subscriptions: SubscriptionServiceClient::new(channel),
        };
        for (theirs, link) in &found {
            if let Link::New { ours, create, .. } = link {
                let known = subscriptions.remove(&theirs.id).unwrap_or_default();
                run.link((theirs, ours), *create, &known).await?;
            }
        }
        println!("done: {count} customers were linked");
        Ok(ExitCode::from(if clashes == 0 { 0 } else { FAULT }))
    })
}

fn read_mapping(file: Option<&Path>) -> Result<BTreeMap<String, String>, Failure> {
    let Some(path) = file else {
        return Ok(BTreeMap::new());
    };
    let path = path.to_owned();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(Failure::Unreadable { path, source }),
    };
    mapping(&text).map_err(|line| Failure::Malformed {
        path,
        detail: format!("line {line} is not an id at Stripe, a comma, and an id, each said once"),
    })
}

/// Returns the customers that Stripe has.
async fn customers(gateway: &Gateway) -> Result<Vec<Theirs>, Failure> {
    let ask = |fault: Fault| refused(&fault);
    let page = gateway.list_customers(None, Cursor::FIRST).await;
    let mut page = page.map_err(ask)?;
    let mut all = page.data.clone();
    while let Some(next) = page.next() {
        page = gateway.list_customers(None, next).await.map_err(ask)?;
        all.extend(page.data.iter().cloned());
    }
    let theirs = all
        .into_iter()
        .filter(|one| !one.deleted)
        .map(|one| Theirs {
            id: one.id,
            email: one.email.unwrap_or_default(),
            name: one.name.unwrap_or_default(),
            metadata: one.metadata,
        });
    Ok(theirs.collect())
}

/// Returns the subscriptions that did not end, by the customers that have them.
async fn subscriptions(gateway: &Gateway) -> Result<BTreeMap<String, Vec<Subscription>>, Failure> {
    let any = SubscriptionFilter::default();
    let ask = |fault: Fault| refused(&fault);
    let page = gateway.list_subscriptions(any, Cursor::FIRST).await;
    let mut page = page.map_err(ask)?;
    let mut all = page.data.clone();
    while let Some(next) = page.next() {
        page = gateway.list_subscriptions(any, next).await.map_err(ask)?;
        all.extend(page.data.iter().cloned());
    }
    let mut found: BTreeMap<String, Vec<Subscription>> = BTreeMap::new();
    for one in all {
        let is_over = matches!(one.status.as_str(), "canceled" | "incomplete_expired");
        if let Some(customer) = one.customer.as_ref().filter(|_| !is_over) {
            found.entry(customer.id().to_owned()).or_default().push(one);
        }
    }
    Ok(found)
}

/// Returns the customers that the server has.
async fn held(channel: &Channel) -> Result<Vec<Ours>, Failure> {
    let mut client = CustomerServiceClient::new(channel.clone());
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListCustomersRequest {
            page_size: PAGE,
            page_token,
            ..pb::ListCustomersRequest::default()
        };
        let page = client.list_customers(timed(request)).await;
        let page = page
            .map_err(connect::refused("list customers"))?
            .into_inner();
        found.extend(page.customers.into_iter().map(|one| Ours {
            id: one.customer_id,
            email: one.email,
            linked: one.stripe_customer_id,
        }));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(found);
        }
    }
}

/// Says what is to become of each; returns how many cannot be linked.
fn print(found: &[(Theirs, Link)], subscriptions: &BTreeMap<String, Vec<Subscription>>) -> usize {
    let paint = Paint::stdout();
    let (mut clashes, mut held, mut unknown) = (0, 0, 0);
    for (theirs, link) in found {
        let id = &theirs.id;
        let line = match link {
            Link::Held { .. } => {
                held += 1;
                continue;
            }
            Link::Unknown => {
                unknown += 1;
                paint.tone(Tone::Note, format!("? {id}: nobody is known to be it"))
            }
            Link::Clash(why) => {
                clashes += 1;
                paint.tone(Tone::Bad, format!("! {id}: {why}"))
            }
            Link::New { ours, by, create } => {
                let made = if *create { ", which is created" } else { "" };
                paint.tone(Tone::Good, format!("+ {id} is {ours}{made}, by {by}"))
            }
        };
        println!("{line}");
        for one in subscriptions.get(id).into_iter().flatten() {
            println!("    {}", in_words(one));
        }
    }
    println!("{held} are linked already, {unknown} are not known, {clashes} cannot be linked");
    clashes
}

fn in_words(subscription: &Subscription) -> String {
    let (id, status) = (&subscription.id, &subscription.status);
    match plan_word(subscription) {
        Some(plan) => format!("{id}: {status}, {plan}"),
        None => format!(
            "{id}: {status}, of no plan; give its price to one: bursar stripe setup --price PLAN=PRICE"
        ),
    }
}

/// Links customers, one after the other.
struct Run<'a> {
    account: &'a Account,
    customers: CustomerServiceClient<Channel>,
    subscriptions: SubscriptionServiceClient<Channel>,
}

impl Run<'_> {
    async fn link(
        &mut self,
        (theirs, ours): (&Theirs, &String),
        create: bool,
        known: &[Subscription],
    ) -> Result<(), Failure> {
        if create {
            let customer = pb::Customer {
                customer_id: ours.clone(),
                display_name: theirs.name.clone(),
                email: theirs.email.clone(),
                ..pb::Customer::default()
            };
            let request = pb::CreateCustomerRequest {
                request_id: format!("import-{}", theirs.id),
                customer: Some(customer),
            };
            let made = self.customers.create_customer(timed(request)).await;
            made.map_err(connect::refused("create a customer"))?;
        }
        let request = pb::SyncSubscriptionRequest {
            customer_id: ours.clone(),
            stripe_customer_id: theirs.id.clone(),
        };
        let synced = self.subscriptions.sync_subscription(timed(request)).await;
        let synced = synced.map_err(connect::refused("link a customer"))?;
        // Noted there last: until then a second run finds it by the same way as this one.
        let change = CustomerChange {
            metadata: [(CUSTOMER_KEY.to_owned(), ours.clone())].into(),
            ..CustomerChange::default()
        };
        let key = format!("import_{}_{ours}", theirs.id);
        let gateway = &self.account.gateway;
        let noted = gateway.update_customer(&theirs.id, &change, &key).await;
        noted.map_err(|fault| refused(&fault))?;
        let standing = synced.into_inner().subscription.unwrap_or_default();
        if known.is_empty() {
            println!("{} is {ours}, without a subscription", theirs.id);
        } else {
            let status = standing.status().as_str_name();
            let status = status
                .trim_start_matches("SUBSCRIPTION_STATUS_")
                .to_lowercase();
            println!(
                "{} is {ours}: plan {}, {status}",
                theirs.id, standing.plan_id
            );
        }
        Ok(())
    }
}

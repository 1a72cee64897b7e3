//! A client that calls: groups of calls that race each other for the hot customers' limits, and batches of events.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use rand::RngExt as _;
use tonic::transport::Channel;

use super::Client;
use super::answers::settle;
use super::job::{Job, LONG, SHORT, make};
use super::wallets::{self, Funds};
use super::wire::Event;
use crate::journal::{Ask, Content, Line};
use crate::world::Meter;

/// Calls of one group, all on their way at once.
const GROUP: usize = 16;
/// Things that it does with wallets beside, at least and at most.
const WALLETS: (i64, i64) = (2, 12);
/// Events in a batch.
const BATCH: usize = 100;
/// Pause before calls without an answer are made again.
const PAUSE: Duration = Duration::from_millis(10);
/// Of a hundred jobs, how many are given to two servers at once.
const TWICE: u32 = 10;
/// How long after its last sign a server may still do what it was asked: longer than all its timeouts.
const DOUBT: Duration = Duration::from_secs(6);
/// What a client holds at most before it ends the oldest.
const HELD_MAX: usize = 12;

/// What this client has and must end some time.
#[derive(Default)]
pub struct Holdings {
    pub held: VecDeque<Reserved>,
    pub funds: Funds,
    pub seats: VecDeque<(u32, String)>,
    /// Calls that were answered, to be made again.
    pub done: VecDeque<Job>,
    /// Calls that one server denied after another had not answered: that one may have done them later.
    pub doubtful: Vec<Job>,
}

/// A reservation that is to be ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    pub customer: u32,
    pub reservation: String,
    pub granted: i64,
    /// What it is of; `None`: it is a job in flight.
    pub meter: Option<Meter>,
}

/// A job without a final answer.
pub struct Open {
    pub job: Job,
    /// Whether a server was asked that did not answer.
    pub is_lost: bool,
}

impl Open {
    pub fn new(job: Job) -> Self {
        Self {
            job,
            is_lost: false,
        }
    }
}

pub async fn run(mut client: Client) -> io::Result<()> {
    let mut holdings = Holdings::default();
    let mut open: Vec<Open> = Vec::new();
    while let Some(channels) = client.connect().await {
        loop {
            if open.is_empty() {
                open = if client.may_begin().await {
                    begin(&mut client, &mut holdings)?
                } else {
                    ask_again(&client, &mut holdings).await
                };
                if open.is_empty() {
                    return Ok(());
                }
            }
            client.waits_for(open.len());
            let places = open.iter().map(|_| pick(&mut client, &channels)).collect();
            let jobs: Vec<Job> = open.iter().map(|one| one.job.clone()).collect();
            let made = make(&jobs, places).await;
            client.waits_for(0);
            open = settle(&mut client, &mut holdings, open, made)?;
            if !open.is_empty() {
                client.waits_for(open.len());
                tokio::time::sleep(PAUSE).await;
                break;
            }
            if client.has_news() {
                break;
            }
        }
    }
    client.waits_for(0);
    Ok(())
}

/// Begins another group of jobs.
fn begin(client: &mut Client, holdings: &mut Holdings) -> io::Result<Vec<Open>> {
    let jobs = draw(client, holdings);
    let at = client.ground.now();
    let lines: Vec<Line> = jobs.iter().flat_map(|job| job.sent_at(at)).collect();
    client.journal.append(&lines)?;
    Ok(jobs.into_iter().map(Open::new).collect())
}

/// Returns the jobs that were denied while another server may still have done them: once that can no longer be, the
/// answer is the truth.
async fn ask_again(client: &Client, holdings: &mut Holdings) -> Vec<Open> {
    if holdings.doubtful.is_empty() || !client.ground.is_several() {
        return Vec::new();
    }
    tokio::time::sleep(DOUBT).await;
    holdings.doubtful.drain(..).map(Open::new).collect()
}

/// Picks the servers for a job: mostly one, at times two at once.
fn pick(client: &mut Client, channels: &[Channel]) -> Vec<Channel> {
    let first = client.route.random_range(0..channels.len());
    let mut picked = vec![channels[first].clone()];
    if channels.len() > 1 && client.route.random_ratio(TWICE, 100) {
        picked.push(channels[(first + 1) % channels.len()].clone());
    }
    picked
}

/// Draws the next group.
fn draw(client: &mut Client, holdings: &mut Holdings) -> Vec<Job> {
    let mut jobs = Vec::with_capacity(GROUP + 1);
    if client.draw.chance(50) {
        jobs.push(Job::Batch(client.draw.facts(BATCH)));
    }
    // Half of the groups ask one customer only, so that many are after the same last units.
    let crowd = client.draw.chance(50).then(|| client.draw.hot());
    while jobs.len() < GROUP {
        let customer = crowd.unwrap_or_else(|| client.draw.hot());
        let request = client.draw.id();
        let quantity = client.draw.between(1, 40);
        let call = |ask| Job::call(customer, request.clone(), ask);
        let job = match client.draw.between(0, 99) {
            0..35 => Job::Consume(event(
                request,
                (customer, 0),
                (Meter::Units, quantity),
                None,
            )),
            35..60 => {
                let ttl = if client.draw.chance(10) { SHORT } else { LONG };
                let least = if client.draw.chance(50) { 1 } else { quantity };
                call(Ask::Reserve {
                    meter: Meter::Units,
                    quantity,
                    least,
                    ttl,
                })
            }
            60..70 => call(Ask::Start { ttl: LONG }),
            70..76 => call(Ask::Allocate {
                seat: request.clone(),
            }),
            76..80 => match holdings.seats.pop_front() {
                Some((customer, seat)) => Job::call(customer, request, Ask::Deallocate { seat }),
                None => continue,
            },
            80..84 => match holdings.held.back().cloned() {
                Some(held) => {
                    let reservation = held.reservation;
                    Job::call(held.customer, request, Ask::Extend { reservation })
                }
                None => continue,
            },
            84..88 => match holdings.done.pop_front() {
                Some(job) => job,
                None => continue,
            },
            _ if holdings.held.len() < HELD_MAX => continue,
            _ => match holdings.held.pop_front() {
                Some(held) => end(client, request, &held),
                None => continue,
            },
        };
        jobs.push(job);
    }
    let crowd = client.draw.chance(50).then(|| client.draw.funded());
    for _ in 0..client.draw.between(WALLETS.0, WALLETS.1) {
        let customer = crowd.unwrap_or_else(|| client.draw.funded());
        jobs.extend(wallets::draw(client, holdings, customer));
    }
    jobs
}

/// Ends a reservation in one of its ways.
fn end(client: &mut Client, request: String, held: &Reserved) -> Job {
    let (customer, reservation) = (held.customer, held.reservation.clone());
    if client.draw.chance(30) {
        return Job::call(customer, request, Ask::Release { reservation });
    }
    // A job in flight uses nothing.
    let event = match held.meter {
        None => None,
        Some(Meter::Work) => Some(wallets::work_of(client, held)),
        Some(meter) => {
            let quantity = client.draw.between(0, held.granted);
            let reservation = Some(reservation.clone());
            let id = client.draw.id();
            Some(event(id, (customer, 0), (meter, quantity), reservation))
        }
    };
    Job::Call {
        customer,
        request,
        ask: Ask::Commit {
            reservation,
            event: event.as_ref().map(|event| event.id.clone()),
        },
        event,
        is_repeat: false,
    }
}

/// An event of a customer, or of a part of it, that happens now.
pub fn event(
    id: String,
    (customer, part): (u32, usize),
    (meter, quantity): (Meter, i64),
    reservation: Option<String>,
) -> Event {
    Event {
        customer,
        id,
        variant: 0,
        content: Content {
            meter,
            quantity,
            large: false,
            event_time: None,
            reservation,
            part,
        },
    }
}

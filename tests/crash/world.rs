//! What the crash test plays with: its customers, meters and limits, and the windows in which they count,
//! worked out here a second time and not taken from the server.

/// The catalog that is applied before the first round.
pub const CATALOG: &str = include_str!("catalog.toml");

/// Customers whose usage is only recorded.
pub const COLD: u32 = 40;
/// Customers, numbered after the cold ones, whose limits all clients fight for.
pub const HOT: u32 = 6;
/// Customers, numbered after the hot ones, that pay from wallets.
pub const FUNDED: u32 = 8;
/// How many there are in all.
pub const CUSTOMERS: u32 = COLD + HOT + FUNDED;

/// The unit of all credits.
pub const UNIT: &str = "USD";
/// Who spends credits: a funded customer itself, and its agents. Elsewhere a part is its place here.
pub const PARTS: [&str; 3] = ["", "agent-1", "agent-2"];
/// What one unit of work costs, in micro-units: a fraction, so that what is left of it must be carried.
pub const WORK_PRICE: (i64, i64) = (1_000, 3);

/// One microsecond is the unit of all times.
pub const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// What customers are there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Their usage is only recorded.
    Cold,
    /// Their limits bite.
    Hot,
    /// They pay from wallets.
    Funded,
}

impl Group {
    /// Returns the group of a customer.
    pub const fn of(customer: u32) -> Self {
        if customer < COLD {
            Self::Cold
        } else if customer < COLD + HOT {
            Self::Hot
        } else {
            Self::Funded
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Hot => "hot",
            Self::Funded => "funded",
        }
    }
}

/// Returns the id of a customer.
pub fn customer_id(customer: u32) -> String {
    format!("{}-{customer}", Group::of(customer).name())
}

/// Returns the number of a customer of ours.
pub fn customer_no(id: &str) -> Option<u32> {
    let number = id.rsplit_once('-')?.1.parse().ok()?;
    (number < CUSTOMERS && customer_id(number) == id).then_some(number)
}

/// Returns the place of a part.
pub fn part_no(id: &str) -> Option<usize> {
    PARTS.iter().position(|part| *part == id)
}

/// The meters.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Meter {
    /// Summed and weighted; recorded only.
    Tokens,
    /// Counts events; recorded only.
    Calls,
    /// Admitted by limits.
    Units,
    /// Draws on wallets.
    Work,
}

impl Meter {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tokens, Self::Calls, Self::Units, Self::Work];

    /// Returns its id; the feature of those that are asked for bears the same.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Calls => "calls",
            Self::Units => "units",
            Self::Work => "work",
        }
    }

    /// Returns what an event adds to counters, in thousandths.
    pub fn weigh(self, quantity: i64, is_large: bool) -> i64 {
        match self {
            Self::Tokens if is_large => quantity * 2500,
            Self::Tokens | Self::Units | Self::Work => quantity * 1000,
            Self::Calls => 1000,
        }
    }
}

/// How a window is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Steps of this length from the anchor.
    Steps(i64),
    /// All of time.
    Lifetime,
    /// The time just passed, of this length.
    Rolling(i64),
}

impl Window {
    /// Returns the start of the fixed window that holds `at`; a rolling one has none.
    pub fn start(self, anchor: i64, at: i64) -> Option<i64> {
        match self {
            Self::Steps(length) => Some(at - (at - anchor).rem_euclid(length)),
            Self::Lifetime => Some(0),
            Self::Rolling(_) => None,
        }
    }

    /// Returns the width of one of the 60 buckets of a rolling window.
    pub fn bucket_width(self) -> Option<i64> {
        match self {
            Self::Rolling(length) => Some((length + 59) / 60),
            Self::Steps(_) | Self::Lifetime => None,
        }
    }
}

/// A counter that every customer has.
#[derive(Debug, Clone, Copy)]
pub struct Counter {
    /// What it counts.
    pub meter: Meter,
    /// Whether it counts only events of the large model.
    pub large_only: bool,
    /// Its window as the catalog writes it.
    pub window_name: &'static str,
    /// Its window.
    pub window: Window,
    /// Units that may be used and set aside in it; `None`: any number.
    pub limit: Option<i64>,
}

const fn counter(
    meter: Meter,
    large_only: bool,
    (window_name, window): (&'static str, Window),
    limit: Option<i64>,
) -> Counter {
    Counter {
        meter,
        large_only,
        window_name,
        window,
        limit,
    }
}

const HOURLY: (&str, Window) = ("hour", Window::Steps(HOUR));
const DAILY: (&str, Window) = ("day", Window::Steps(DAY));
const ALWAYS: (&str, Window) = ("lifetime", Window::Lifetime);

/// Every counter of a customer: those of the catalog above.
pub const COUNTERS: [Counter; 9] = [
    counter(Meter::Tokens, false, HOURLY, None),
    counter(Meter::Tokens, false, DAILY, None),
    counter(Meter::Tokens, false, ALWAYS, None),
    counter(Meter::Tokens, true, ("2h", Window::Rolling(2 * HOUR)), None),
    counter(Meter::Calls, false, DAILY, None),
    counter(Meter::Units, false, ALWAYS, Some(20_000)),
    counter(Meter::Units, false, HOURLY, Some(4_000)),
    counter(
        Meter::Units,
        false,
        ("1m", Window::Rolling(MINUTE)),
        Some(1_500),
    ),
    counter(Meter::Work, false, DAILY, None),
];

/// How many things may be in flight.
pub const JOBS: i64 = 6;
/// How many things may exist.
pub const SEATS: i64 = 8;

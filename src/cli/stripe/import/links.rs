//! Which customer of a server a customer at Stripe is: pure, so that what an import would do can be said before it is done.

use std::collections::BTreeMap;
use std::fmt;

use crate::stripe::gateway::CUSTOMER_KEY;

/// A customer at Stripe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Theirs {
    /// Its id there.
    pub id: String,
    /// Empty: none.
    pub email: String,
    /// The name for people; empty: none.
    pub name: String,
    /// What is kept with it.
    pub metadata: BTreeMap<String, String>,
}

/// A customer of the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ours {
    /// Its id.
    pub id: String,
    /// Empty: none.
    pub email: String,
    /// Who it is at Stripe; empty: nobody yet.
    pub linked: String,
}

/// How customers are recognised.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// What an operator says: ids of ours by those at Stripe.
    pub mapping: BTreeMap<String, String>,
    /// The metadata that says the id of ours, beside our own.
    pub metadata_key: Option<String>,
    /// Whether customers are created that the server lacks.
    pub create: bool,
}

/// By what a customer is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The operator's file.
    Mapping,
    /// What Stripe keeps with it.
    Metadata,
    /// The email, which only one has on either side.
    Email,
    /// Nothing: it gets the id that it has at Stripe.
    OwnId,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mapping => "the mapping",
            Self::Metadata => "its metadata",
            Self::Email => "the email",
            Self::OwnId => "its id at Stripe",
        })
    }
}

/// What is to become of a customer at Stripe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// It is linked already.
    Held {
        /// With whom.
        ours: String,
    },
    /// It is to be linked.
    New {
        /// With whom.
        ours: String,
        /// How that is known.
        by: By,
        /// Whether ours is to be created.
        create: bool,
    },
    /// Nobody is known to be it.
    Unknown,
    /// It cannot be linked as it stands.
    Clash(String),
}

/// Says of each customer at Stripe what is to become of it.
pub fn links(theirs: &[Theirs], ours: &[Ours], rules: &Rules) -> Vec<Link> {
    let mut taken: BTreeMap<String, String> = ours
        .iter()
        .filter(|one| !one.linked.is_empty())
        .map(|one| (one.id.clone(), one.linked.clone()))
        .collect();
    let held: BTreeMap<&str, &str> = ours
        .iter()
        .filter(|one| !one.linked.is_empty())
        .map(|one| (one.linked.as_str(), one.id.as_str()))
        .collect();
    let mut found = Vec::with_capacity(theirs.len());
    for one in theirs {
        let link = match held.get(one.id.as_str()) {
            Some(ours) => Link::Held {
                ours: (*ours).to_owned(),
            },
            None => recognised(one, (theirs, ours), rules, &taken),
        };
        if let Link::New { ours, .. } = &link {
            taken.insert(ours.clone(), one.id.clone());
        }
        found.push(link);
    }
    found
}

fn recognised(
    one: &Theirs,
    (theirs, ours): (&[Theirs], &[Ours]),
    rules: &Rules,
    taken: &BTreeMap<String, String>,
) -> Link {
    let (name, by) = match named(one, rules) {
        Some(named) => named,
        None => match by_email(one, theirs, ours) {
            Ok(Some(id)) => (id, By::Email),
            Ok(None) if rules.create => (one.id.clone(), By::OwnId),
            Ok(None) => return Link::Unknown,
            Err(clash) => return Link::Clash(clash),
        },
    };
    if let Some(other) = taken.get(&name) {
        return Link::Clash(format!("{name}, as {by} says, is {other} already"));
    }
    let is_there = ours.iter().any(|mine| mine.id == name);
    if !is_there && !rules.create {
        let text = format!("there is no customer {name}, as {by} says; --create makes it");
        return Link::Clash(text);
    }
    Link::New {
        ours: name,
        by,
        create: !is_there,
    }
}

/// Returns the id of ours that somebody wrote down.
fn named(one: &Theirs, rules: &Rules) -> Option<(String, By)> {
    if let Some(id) = rules.mapping.get(&one.id) {
        return Some((id.clone(), By::Mapping));
    }
    let keys = [Some(CUSTOMER_KEY), rules.metadata_key.as_deref()];
    let mut said = keys
        .into_iter()
        .flatten()
        .filter_map(|key| one.metadata.get(key));
    let id = said.find(|id| !id.is_empty())?;
    Some((id.clone(), By::Metadata))
}

/// Returns the id of the one that has the email, if only one has it on each side.
fn by_email(one: &Theirs, theirs: &[Theirs], ours: &[Ours]) -> Result<Option<String>, String> {
    let is = |other: &str| !other.is_empty() && other.eq_ignore_ascii_case(&one.email);
    let mut mine = ours.iter().filter(|other| is(&other.email));
    let Some(first) = mine.next() else {
        return Ok(None);
    };
    if let Some(second) = mine.next() {
        let (one, other) = (&first.id, &second.id);
        return Err(format!(
            "{one} and {other} have its email; name it in a mapping"
        ));
    }
    if theirs.iter().filter(|other| is(&other.email)).count() > 1 {
        let text = "others at Stripe have the same email; name it in a mapping";
        return Err(text.to_owned());
    }
    Ok(Some(first.id.clone()))
}

/// Reads a mapping: lines with an id at Stripe, a comma, and an id of ours.
///
/// # Errors
/// With the number of the first line that is none.
pub fn mapping(text: &str) -> Result<BTreeMap<String, String>, usize> {
    let mut found = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        let is_head = number == 1 && line == "stripe_customer_id,customer_id";
        if line.is_empty() || line.starts_with('#') || is_head {
            continue;
        }
        let (theirs, ours) = line.split_once(',').ok_or(number)?;
        let (theirs, ours) = (theirs.trim(), ours.trim());
        let mut is_new = || found.insert(theirs.to_owned(), ours.to_owned()).is_none();
        if !theirs.starts_with("cus_") || ours.is_empty() || ours.contains(',') || !is_new() {
            return Err(number);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn theirs(id: &str, email: &str, metadata: &[(&str, &str)]) -> Theirs {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Theirs {
            id: id.to_owned(),
            email: email.to_owned(),
            metadata: metadata.iter().map(pair).collect(),
            ..Theirs::default()
        }
    }

    fn ours(id: &str, email: &str, linked: &str) -> Ours {
        Ours {
            id: id.to_owned(),
            email: email.to_owned(),
            linked: linked.to_owned(),
        }
    }

    fn new(ours: &str, by: By, create: bool) -> Link {
        Link::New {
            ours: ours.to_owned(),
            by,
            create,
        }
    }

    #[test]
    fn each_is_recognised_by_what_is_surest() {
        let ours = [
            ours("acme", "a@x.org", ""),
            ours("bolt", "B@x.org", ""),
            ours("core", "", "cus_3"),
            ours("dune", "", ""),
        ];
        let theirs = [
            theirs("cus_1", "a@x.org", &[("user", "dune")]),
            theirs("cus_2", "b@X.org", &[]),
            theirs("cus_3", "a@x.org", &[]),
            theirs("cus_4", "", &[("bursar_customer", "acme")]),
            theirs("cus_5", "n@x.org", &[]),
            theirs("cus_6", "", &[("bursar_customer", "core")]),
            theirs("cus_7", "", &[("bursar_customer", "echo")]),
        ];
        let mut rules = Rules {
            metadata_key: Some("user".to_owned()),
            ..Rules::default()
        };
        let found = links(&theirs, &ours, &rules);
        assert_eq!(found[0], new("dune", By::Metadata, false));
        assert_eq!(found[1], new("bolt", By::Email, false));
        assert_eq!(
            found[2],
            Link::Held {
                ours: "core".to_owned()
            }
        );
        assert_eq!(found[3], new("acme", By::Metadata, false));
        assert_eq!(found[4], Link::Unknown);
        assert!(matches!(found[5], Link::Clash(_)), "core is another");
        assert!(matches!(found[6], Link::Clash(_)), "there is no echo");
        rules.create = true;
        rules.mapping = [("cus_1".to_owned(), "acme".to_owned())].into();
        let found = links(&theirs, &ours, &rules);
        assert_eq!(found[0], new("acme", By::Mapping, false));
        assert!(
            matches!(found[3], Link::Clash(_)),
            "acme is taken in this go"
        );
        assert_eq!(found[4], new("cus_5", By::OwnId, true));
        assert_eq!(found[6], new("echo", By::Metadata, true));
    }

    #[test]
    fn an_email_that_several_have_says_nothing() {
        let two = [
            theirs("cus_1", "a@x.org", &[]),
            theirs("cus_2", "a@x.org", &[]),
        ];
        let found = links(&two, &[ours("acme", "a@x.org", "")], &Rules::default());
        assert!(found.iter().all(|link| matches!(link, Link::Clash(_))));
        let both = [ours("acme", "a@x.org", ""), ours("bolt", "a@x.org", "")];
        let found = links(&two[..1], &both, &Rules::default());
        assert!(matches!(found[0], Link::Clash(_)));
    }

    #[test]
    fn a_mapping_names_the_line_that_is_wrong() {
        let good = "stripe_customer_id,customer_id\n# old\ncus_1, acme\n\ncus_2,bolt\n";
        assert_eq!(mapping(good).unwrap().len(), 2);
        for (bad, line) in [
            ("cus_1,a\nacme\n", 2),
            ("acme,cus_1", 1),
            ("cus_1,", 1),
            ("cus_1,a\ncus_1,b", 2),
            ("cus_1,a,b", 1),
        ] {
            assert_eq!(mapping(bad), Err(line), "{bad}");
        }
    }
}

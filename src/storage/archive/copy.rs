//! Copying, and comparing the copy with what was copied.

use super::{
    ArchiveError, ArchiveWriter, CustomerTotals, Record, Scope, Sink, Source, Table, Tally, Target,
};

/// Is told how far it is: what is being done, and to how many rows of which table.
pub type Watch<'a> = dyn FnMut(&'static str, Table, u64) + 'a;

/// What was copied.
#[derive(Debug, Clone)]
pub struct Copied {
    /// Rows and digests.
    pub tally: Tally,
    /// How many customers' totals were found equal; `None`: the source cannot add up by itself.
    pub customers: Option<u64>,
}

/// Tells how far it is, counts, and passes on.
struct Through<'a, 'w> {
    doing: &'static str,
    tally: &'a mut Tally,
    watch: &'a mut Watch<'w>,
    next: Option<&'a mut dyn Sink>,
}

#[async_trait::async_trait(?Send)]
impl Sink for Through<'_, '_> {
    async fn take(&mut self, records: &[Record]) -> Result<(), ArchiveError> {
        self.tally.take(records).await?;
        if let Some(next) = &mut self.next {
            next.take(records).await?;
        }
        if let Some(record) = records.first() {
            let table = record.table();
            (self.watch)(self.doing, table, self.tally.of(table).rows);
        }
        Ok(())
    }
}

/// Writes an archive.
///
/// # Errors
/// When the source cannot be read or the file not be written.
pub async fn save(
    source: &mut dyn Source,
    mut archive: ArchiveWriter,
    watch: &mut Watch<'_>,
) -> Result<Tally, ArchiveError> {
    let mut tally = Tally::default();
    archive.begin(source.header())?;
    let mut through = Through {
        doing: "write",
        tally: &mut tally,
        watch,
        next: Some(&mut archive),
    };
    source.send(&Scope::all(), &mut through).await?;
    archive.finish()?;
    Ok(tally)
}

/// Copies everything into a place, reads it back, compares, and only then shows it.
///
/// # Errors
/// When one of both fails, the source is damaged, or the copy differs. The place is left as it was found.
pub async fn copy(
    source: &mut dyn Source,
    mut target: Box<dyn Target>,
    watch: &mut Watch<'_>,
) -> Result<Copied, ArchiveError> {
    match fill(source, &mut *target, watch).await {
        Ok(copied) => {
            target.finish(source.header()).await?;
            Ok(copied)
        }
        Err(error) => {
            target.abandon().await;
            Err(error)
        }
    }
}

async fn fill(
    source: &mut dyn Source,
    target: &mut dyn Target,
    watch: &mut Watch<'_>,
) -> Result<Copied, ArchiveError> {
    let mut sent = Tally::default();
    let mut through = Through {
        doing: "write",
        tally: &mut sent,
        watch: &mut *watch,
        next: Some(&mut AsSink(&mut *target)),
    };
    source.send(&Scope::all(), &mut through).await?;
    target.settle().await?;
    let mut kept = Tally::default();
    let mut through = Through {
        doing: "verify",
        tally: &mut kept,
        watch,
        next: None,
    };
    target.send(&Scope::all(), &mut through).await?;
    if let Some(difference) = sent.difference(&kept) {
        return Err(ArchiveError::Differs(difference));
    }
    Ok(Copied {
        tally: sent,
        customers: same_totals(source, target).await?,
    })
}

/// A target that only takes.
struct AsSink<'a>(&'a mut dyn Target);

#[async_trait::async_trait(?Send)]
impl Sink for AsSink<'_> {
    async fn take(&mut self, records: &[Record]) -> Result<(), ArchiveError> {
        self.0.take(records).await
    }
}

/// Compares what both databases say that each customer has. Returns how many customers that were.
async fn same_totals(
    source: &mut dyn Source,
    target: &mut dyn Target,
) -> Result<Option<u64>, ArchiveError> {
    let mut after = String::new();
    let mut compared = 0;
    while let Some(expected) = source.totals(&after).await? {
        let got = target.totals(&after).await?.unwrap_or_default();
        if let Some(difference) = difference(&expected, &got) {
            return Err(ArchiveError::Differs(difference));
        }
        compared += expected.len() as u64;
        match expected.into_iter().next_back() {
            Some(last) => after = last.customer,
            None => return Ok(Some(compared)),
        }
    }
    Ok(None)
}

fn difference(expected: &[CustomerTotals], got: &[CustomerTotals]) -> Option<String> {
    if let Some((expected, got)) = expected.iter().zip(got).find(|(one, other)| one != other) {
        return Some(format!("{expected:?} became {got:?}"));
    }
    (expected.len() != got.len())
        .then(|| format!("{} customers became {}", expected.len(), got.len()))
}

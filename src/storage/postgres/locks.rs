//! The advisory locks that processes on one database take; each has a number of its own.

/// Held by the process that runs migrations.
pub(super) const MIGRATING: i64 = 0x6275_7273_6172_0001;
/// Held by the process that makes partitions.
pub(super) const MAKING_DAYS: i64 = 0x6275_7273_6172_0002;
/// Shared by batches while they decide under a catalog; whoever applies one has it alone.
pub(super) const CATALOG: i64 = 0x6275_7273_6172_0003;

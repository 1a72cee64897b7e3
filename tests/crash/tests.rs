pub struct Test {
    pub name: &'static str,
    pub needs_faults: bool,
    pub run: fn(),
}
pub const ALL: &[Test] = &[];

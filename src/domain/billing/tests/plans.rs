//! Plans that a period ran under.

use super::*;
use crate::domain::billing::{PlanOf, PlanSpan};
use crate::domain::id::PlanId;

fn plan(id: &str) -> PlanOf {
    PlanOf {
        version: 1,
        plan: Some(PlanId::new(id).unwrap()),
    }
}

#[test]
fn each_plan_of_a_period_is_noted_from_when_it_came() {
    let running = month();
    let at = |hours: i64| after(hours * 60);
    let mut tab = Tab::new(meter(), START);
    assert!(
        !tab.note_plan(running, &plan("pro"), at(1)),
        "it is not open"
    );
    tab.open(running, at(1));
    assert_eq!(tab.plans_of(running), []);
    // What was there when it was first looked at was there from the beginning on.
    assert!(tab.note_plan(running, &plan("pro"), at(1)));
    assert!(!tab.note_plan(running, &plan("pro"), at(2)));
    assert!(tab.note_plan(running, &plan("team"), at(3)));
    let expected = [("pro", START), ("team", at(3))].map(|(id, since)| PlanSpan {
        since,
        plan: plan(id),
    });
    assert_eq!(tab.plans_of(running), expected);
}

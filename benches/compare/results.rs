//! Figures by name, shown as they come and kept as one flat map.

use std::collections::BTreeMap;
use std::path::Path;

#[derive(Default)]
pub struct Results(BTreeMap<String, f64>);

impl Results {
    pub fn note(&mut self, name: &str, figure: f64) {
        println!("{name:<28} {}", shown(figure));
        self.0.insert(name.to_owned(), figure);
    }

    /// Writes the map, and shows what was meant to be reached beside what was.
    pub fn finish(&self, file: &Path) {
        let json = serde_json::to_string_pretty(&self.0).expect("numbers can be written");
        std::fs::create_dir_all(file.parent().expect("a file in a folder")).expect("a folder");
        std::fs::write(file, json + "\n").expect("the results can be written");
        println!("\n{:<28} {:>12}   goal", "", "measured");
        for (name, goal, at_most) in GOALS {
            let Some(figure) = self.0.get(*name) else {
                continue;
            };
            let met = if *at_most {
                figure <= goal
            } else {
                figure >= goal
            };
            let sign = if *at_most { "<=" } else { ">=" };
            let verdict = if met { "" } else { "   missed" };
            println!(
                "{name:<28} {:>12}   {sign} {}{verdict}",
                shown(*figure),
                shown(*goal)
            );
        }
        println!("\nwritten to {}", file.display());
    }
}

/// Name, goal, and whether it is an upper bound.
const GOALS: &[(&str, f64, bool)] = &[
    ("check_over_echo_1", 0.85, false),
    ("check_over_echo_64", 0.85, false),
    ("check_over_echo_256", 0.85, false),
    ("check_p99_over_echo_64", 1.3, true),
    ("decide_ns", 1000.0, true),
    ("record_over_insert", 0.6, false),
    ("bytes_per_customer", 1536.0, true),
    ("record_over_insert_3", 0.6, false),
    ("reserve_hot_over_update", 5.0, false),
    ("hold_hot_over_bare", 3.0, false),
    ("hold_many_over_bare", 1.0, false),
    ("check_credits_over_check", 0.77, false),
    ("reserve_credits_over_reserve", 0.77, false),
    ("limit_writes_per_s", 300.0, true),
    ("limit_writes_per_s_3", 300.0, true),
    ("ingest_with_sender", 0.9, false),
];

fn shown(figure: f64) -> String {
    if figure < 10.0 {
        format!("{figure:.3}")
    } else {
        format!("{figure:.0}")
    }
}

pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

//! Changes to the text of a catalog: what is asked for shows, and all else stays.

use super::{BASE, parse};
use crate::domain::catalog::{
    Catalog, CatalogEdit, CreditPack, EditFault, Interval, PriceTier, Pricing, Product,
    ProductPrice, diff,
};
use crate::domain::id::{MeterId, PlanId, ProductId};

const AEGIS: &str = include_str!("../../../../catalogs/aegis.toml");
const AIMS: &str = include_str!("../../../../catalogs/aims.toml");

/// Makes a change and returns the text and the catalog that it declares.
fn edited(source: &str, edit: &CatalogEdit) -> (String, Catalog) {
    let text = edit.apply(source, &parse(source)).expect("it fits");
    let catalog = parse(&text);
    assert!(edit.is_in(&catalog), "{text}");
    (text, catalog)
}

fn paths(source: &str, edit: &CatalogEdit) -> Vec<String> {
    let (_, catalog) = edited(source, edit);
    let changes = diff(&parse(source), &catalog);
    changes.into_iter().map(|change| change.path).collect()
}

fn product_id(id: &str) -> ProductId {
    ProductId::new(id).unwrap()
}

fn per_unit(amount_micros: i64, per: i64) -> Pricing {
    Pricing::PerUnit { amount_micros, per }
}

fn usage(id: &str, meter: &str) -> Product {
    Product::Usage {
        id: product_id(id),
        name: "A \"product\" # of ours".into(),
        meter: MeterId::new(meter).unwrap(),
        pricing: Pricing::Graduated {
            tiers: vec![
                PriceTier {
                    up_to: Some(10),
                    unit_micros: 1,
                },
                PriceTier {
                    up_to: None,
                    unit_micros: 2_500_000,
                },
            ],
        },
        minimum_micros: 7_000_000,
    }
}

fn price(id: &str, pricing: Pricing, minimum_micros: Option<i64>) -> CatalogEdit {
    CatalogEdit::PriceProduct {
        product: product_id(id),
        price: ProductPrice::Usage {
            pricing,
            minimum_micros,
        },
    }
}

fn amount(id: &str, micros: i64) -> CatalogEdit {
    CatalogEdit::PriceProduct {
        product: product_id(id),
        price: ProductPrice::Amount(micros),
    }
}

fn plan(id: &str, interval: Interval, amount_micros: Option<i64>) -> CatalogEdit {
    CatalogEdit::PricePlan {
        plan: PlanId::new(id).unwrap(),
        interval,
        amount_micros,
    }
}

#[test]
fn a_product_is_added_and_the_rest_of_the_text_stays() {
    let outcome = Product::Outcome {
        id: product_id("a.b"),
        name: "a.b".into(),
        amount_micros: 500_000,
    };
    let pack = Product::CreditPack(CreditPack {
        id: product_id("pack"),
        name: "pack".into(),
        credit_unit: "USD".into(),
        credits_micros: 1_500_000,
        amount_micros: 1_000_001,
    });
    for product in [usage("extra", "tokens"), outcome, pack] {
        let edit = CatalogEdit::Register(product);
        let inline = format!("products = {{ x = {{ outcome = \"1\" }} }}\n{BASE}");
        let dotted = format!("products.x.outcome = \"1\"\n{BASE}");
        let tables =
            format!("{BASE}# the products\n[products.x] # one\noutcome = \"1\" # dollar\n");
        for source in [BASE, &inline, &dotted, &tables] {
            let (text, catalog) = edited(source, &edit);
            let lost: Vec<&str> = source
                .lines()
                .filter(|line| !line.contains("products = {") && !text.contains(line))
                .collect();
            assert_eq!(lost, [""; 0], "{text}");
            assert!(
                diff(&parse(source), &catalog).iter().all(|change| {
                    change.path.starts_with("products.") && change.before.is_none()
                })
            );
            // Declared so already: the text is the same to the byte.
            assert_eq!(edit.apply(&text, &catalog).as_ref(), Ok(&text));
        }
    }
    let other = CatalogEdit::Register(usage("api_call", "api_calls"));
    let exists = other.apply(AEGIS, &parse(AEGIS));
    assert_eq!(exists, Err(EditFault::Exists(product_id("api_call"))));
}

#[test]
fn a_price_is_changed_where_it_stands() {
    let flat = per_unit(100_000, 1);
    assert_eq!(
        paths(AEGIS, &price("api_call", flat, Some(5_000_000))).len(),
        5 + 3,
        "five values of tiers went, three came"
    );
    let report = amount("geoint_report", 1_250_000_000);
    let (text, _) = edited(AEGIS, &report);
    let expected = AEGIS.replace("outcome = \"999.00\"", "outcome = \"1250.00\"");
    assert_eq!(text, expected, "one value of one line");
    let pack = amount("luc_500", 4_500_000);
    let expected = AIMS.replace(
        "credits = 500, price = \"5.00\"",
        "credits = 500, price = \"4.50\"",
    );
    assert_eq!(edited(AIMS, &pack).0, expected);

    let source = format!(
        "{BASE}[products.x]\nusage = {{ meter = \"tokens\", per_unit = \"1\", per = 5, minimum = \"2\" }} # kept\n"
    );
    let (text, _) = edited(&source, &price("x", per_unit(3_000_000, 5), None));
    assert_eq!(text, source.replace("\"1\"", "\"3.00\""));
    let package = Pricing::Package {
        amount_micros: 10_000,
        size: 100,
    };
    let (text, _) = edited(&source, &price("x", package, Some(0)));
    let line = "usage = { meter = \"tokens\", package = \"0.01\", size = 100 } # kept";
    assert!(text.contains(line), "{text}");
}

#[test]
fn plans_are_priced_by_the_month_and_by_the_year() {
    let aims = edited(AIMS, &plan("starter", Interval::Month, Some(3_500_000))).0;
    let line = "prices = { month = \"3.50\" }                                 # $3/mo";
    assert!(aims.contains(line), "{aims}");
    let yearly = edited(AIMS, &plan("starter", Interval::Year, Some(30_000_000))).0;
    let line =
        "prices = { month = \"3.00\", year = \"30.00\" }                                 # $3/mo";
    assert!(yearly.contains(line), "{yearly}");
    let agreed = plan("lead", Interval::Month, None);
    assert_eq!(paths(AEGIS, &agreed), ["plans.lead.prices.month"]);
    // Plans that had no price, in every way in which one may be declared.
    for source in [
        "[plans.p]\nrank = 1\n[plans.p.entitlements]\nsso = true\n",
        "[plans.p.entitlements]\nsso = true\n",
        "plans.p.rank = 1\n",
        "[plans]\np = { rank = 1 }\n",
        "[plans.p.prices]\nyear = \"1\"\n",
    ] {
        let source = format!("{source}[features]\nsso = \"boolean\"\n");
        let edit = plan("p", Interval::Month, Some(1));
        assert_eq!(paths(&source, &edit), ["plans.p.prices.month"]);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let aegis = parse(AEGIS);
    let fault = |edit: &CatalogEdit| edit.apply(AEGIS, &aegis).unwrap_err();
    assert_eq!(
        fault(&amount("nothing", 1)),
        EditFault::NoProduct(product_id("nothing"))
    );
    assert_eq!(
        fault(&plan("nothing", Interval::Month, None)),
        EditFault::NoPlan(PlanId::new("nothing").unwrap())
    );
    assert_eq!(
        fault(&amount("api_call", 1)),
        EditFault::OtherPrice { by_use: true }
    );
    assert_eq!(
        fault(&price("geoint_report", per_unit(1, 1), None)),
        EditFault::OtherPrice { by_use: false }
    );
    assert_eq!(
        amount("api_call", 1).apply("a = ", &aegis),
        Err(EditFault::Unlike)
    );
    assert_eq!(
        amount("geoint_report", 1).apply("", &aegis),
        Err(EditFault::Unlike)
    );
    let text = amount("geoint_report", -1).apply(AEGIS, &aegis).unwrap();
    let faults = crate::domain::catalog::parse_catalog(&text).unwrap_err();
    assert_eq!(faults[0].path, "products.geoint_report.outcome");
}

//! Taking over customers and subscriptions that Stripe had before.

use bursar::domain::billing::{Sold, price_list};
use bursar::domain::catalog::Interval;
use bursar::grpc::pb;
use bursar::stripe::Setup;
use bursar::stripe::gateway::{NewCustomer, NewItem, NewSubscription, PaymentBehavior};
use pb::SubscriptionStatus as Status;

use super::{Said, bursar};
use crate::harness::run;
use crate::subscriptions::Site;

/// Makes a customer at Stripe who pays for `pro`; returns its id.
async fn payer(site: &Site, email: &str, user: &str) -> String {
    let metadata = [("user".to_owned(), user.to_owned())];
    let new = NewCustomer {
        ours: String::new(),
        email: Some(email.to_owned()),
        payment_method: Some("pm_card_visa".to_owned()),
        metadata: metadata.into(),
        ..NewCustomer::default()
    };
    let made = site
        .gateway
        .create_customer(&new, &format!("c{email}{user}"))
        .await;
    let customer = made.unwrap().id;
    let key = Sold::Plan("pro".to_owned().try_into().unwrap(), Interval::Month).lookup_key();
    let list = price_list(&site.catalog);
    assert!(list.prices.iter().any(|price| *price.lookup_key == *key));
    let prices = Setup::new(site.gateway.clone()).prices(&[key.into()]).await;
    let price = prices.unwrap().into_values().next().unwrap();
    let new = NewSubscription {
        customer: customer.clone(),
        items: vec![NewItem {
            price: price.id,
            quantity: Some(1),
        }],
        trial: None,
        coupons: Vec::new(),
        default_payment_method: None,
        payment_behavior: PaymentBehavior::ErrorIfIncomplete,
        metadata: [].into(),
    };
    let made = site
        .gateway
        .create_subscription(&new, &format!("s{customer}"))
        .await;
    made.unwrap();
    customer
}

async fn import(site: &Site, args: &[&str]) -> Said {
    let server = site.server.serving.grpc_addr.to_string();
    let all = [&["stripe", "import", "--server", &server][..], args].concat();
    bursar(&site.double, &[], &all).await
}

#[test]
fn customers_are_linked_as_was_said_and_their_plans_follow() {
    run(async {
        let mut site = Site::selling("aims").await;
        site.create("acme").await;
        site.create("bolt").await;
        let (one, two) = (
            payer(&site, "a@x.org", "acme").await,
            payer(&site, "b@x.org", "").await,
        );
        let three = payer(&site, "c@x.org", "").await;
        let folder = tempfile::tempdir().unwrap();
        let mapping = folder.path().join("customers.csv");
        std::fs::write(&mapping, format!("{two},bolt\n")).unwrap();
        let by = [
            "--metadata-key",
            "user",
            "--mapping",
            mapping.to_str().unwrap(),
        ];
        let dry = import(&site, &[&by[..], &["--dry-run"]].concat())
            .await
            .done();
        assert!(
            dry.contains(&format!("+ {one} is acme, by its metadata")),
            "{dry}"
        );
        assert!(
            dry.contains(&format!("+ {two} is bolt, by the mapping")),
            "{dry}"
        );
        assert!(dry.contains(&format!("? {three}: nobody")), "{dry}");
        assert!(dry.contains("active, plan pro by the month"), "{dry}");
        assert!(
            dry.contains("dry run: 2 customers would be linked"),
            "{dry}"
        );
        assert_eq!(site.standing("acme").await.status(), Status::None);
        let done = import(&site, &by).await.done();
        assert!(
            done.contains(&format!("{one} is acme: plan pro, active")),
            "{done}"
        );
        site.until_is("acme", "pro", Status::Active).await;
        site.until_is("bolt", "pro", Status::Active).await;
        let theirs = site.gateway.retrieve_customer(&two).await.unwrap();
        assert_eq!(theirs.ours(), Some("bolt"));
        let again = import(&site, &[&by[..], &["--create"]].concat())
            .await
            .done();
        assert!(again.contains("2 are linked already"), "{again}");
        assert!(
            again.contains(&format!("{three}, which is created, by its id")),
            "{again}"
        );
        site.until_is(&three, "pro", Status::Active).await;
        // Whoever is somebody at Stripe stays so.
        let mut client = site.subscriptions.clone();
        let request = pb::SyncSubscriptionRequest {
            customer_id: "acme".to_owned(),
            stripe_customer_id: two,
        };
        let refused = client.sync_subscription(request).await.unwrap_err();
        assert_eq!(crate::harness::seen(&refused).1, "RESOURCE_EXISTS");
        site.server.stop().await;
        site.double.stop().await;
    });
}

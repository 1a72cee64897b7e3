//! Products.

use serde_json::{Value, json};

use super::super::Model;
use super::super::fault::Fault;
use super::super::form::Params;
use super::super::list;
use super::super::route::{Answer, Call, Route};
use super::super::shape::with_nulls;
use super::super::store::Kind;

/// What can be set at any time, beside the name.
const DETAILS: [&str; 9] = [
    "active",
    "description",
    "metadata",
    "images",
    "unit_label",
    "statement_descriptor",
    "tax_code",
    "url",
    "default_price",
];

pub(in super::super) const ROUTES: &[Route] = &[
    Route::post(
        "/v1/products",
        "name! id active=b description metadata{} images[] unit_label statement_descriptor \
         tax_code url type=service|good",
        |model, call| model.new_product(&call.params),
    ),
    Route::get(
        "/v1/products",
        "active=b ids[] created(gt=i gte=i lt=i lte=i) limit=i starting_after ending_before",
        list_products,
    ),
    Route::get("/v1/products/*", "", |model, call| {
        model.named(Kind::Product, call)
    }),
    Route::post("/v1/products/*", UPDATE, update),
    Route::delete("/v1/products/*", "", delete),
];

const UPDATE: &str = "name active=b description metadata{} images[] unit_label \
    statement_descriptor tax_code url default_price";

fn list_products(model: &mut Model, call: &Call) -> Answer {
    let active = call.params.flag("active");
    let ids = call.params.texts("ids");
    list::answer(model, call, Kind::Product, "/v1/products", |product| {
        active.is_none_or(|active| product["active"] == active)
            && (ids.is_empty() || ids.iter().any(|id| product["id"] == id.as_str()))
    })
}

fn update(model: &mut Model, call: &Call) -> Answer {
    let product = model.find(Kind::Product, call.id())?;
    let mut product = details(product, &call.params);
    product["updated"] = model.now.into();
    Ok(model.changed(Kind::Product, product, "product.updated"))
}

fn delete(model: &mut Model, call: &Call) -> Answer {
    let product = model.find(Kind::Product, call.id())?;
    if model
        .store
        .all(Kind::Price)
        .any(|price| price["product"] == product["id"])
    {
        return Err(Fault::invalid(
            "",
            "This product cannot be deleted because it has one or more user-created prices.",
        ));
    }
    model.tell("product.deleted", &product);
    model.store.remove(Kind::Product, call.id());
    Ok(json!({"id": call.id(), "object": "product", "deleted": true}))
}

fn details(mut product: Value, params: &Params) -> Value {
    for key in DETAILS {
        if !params.has(key) {
            continue;
        }
        product[key] = match key {
            "active" => params.flag(key).unwrap_or(true).into(),
            "metadata" => params.merge_metadata(&product[key]),
            "images" => params.texts(key).into(),
            _ => params.text_or_null(key),
        };
    }
    if let Some(name) = params.text("name") {
        product["name"] = name.into();
    }
    product
}

impl Model {
    /// Makes a product.
    pub(in super::super) fn new_product(&mut self, params: &Params) -> Answer {
        let id = match params.text("id") {
            Some(id) if self.store.get(Kind::Product, id).is_some() => {
                return Err(
                    Fault::invalid("id", format!("Product already exists: '{id}'"))
                        .code("resource_already_exists"),
                );
            }
            Some(id) => id.to_owned(),
            None => self.store.new_id(Kind::Product.prefix()),
        };
        let product = json!({
            "id": id,
            "object": "product",
            "active": true,
            "created": self.now,
            "images": [],
            "livemode": false,
            "marketing_features": [],
            "metadata": {},
            "type": "service",
            "updated": self.now,
        });
        let product = with_nulls(
            product,
            "default_price description package_dimensions shippable statement_descriptor \
             tax_code unit_label url",
        );
        let product = details(product, params);
        Ok(self.made(Kind::Product, product, "product.created"))
    }
}

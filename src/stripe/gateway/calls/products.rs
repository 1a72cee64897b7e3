//! Products.

use stripe_product::product::{CreateProduct, ListProduct, RetrieveProduct, UpdateProduct};

use super::super::account::{Answer, Gateway};
use super::super::objects::Product;
use super::super::page::{Cursor, Page, set_if_any, set_if_some, turn_to};
use super::super::shape::{Metadata, unordered};

/// A product to be created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewProduct {
    /// The id it shall have; `None`: Stripe makes one.
    pub id: Option<String>,
    /// What customers read.
    pub name: String,
    /// What customers read below the name.
    pub description: Option<String>,
    /// What a unit is called on receipts, at most 12 characters.
    pub unit_label: Option<String>,
    /// What is kept with it.
    pub metadata: Metadata,
}

/// What changes of a product; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProductChange {
    /// What customers read.
    pub name: Option<String>,
    /// What customers read below the name.
    pub description: Option<String>,
    /// Whether it can be sold.
    pub active: Option<bool>,
    /// What is kept with it.
    pub metadata: Metadata,
}

impl Gateway {
    /// Creates a product.
    pub async fn create_product(&self, new: &NewProduct, key: &str) -> Answer<Product> {
        let mut request = CreateProduct::new(new.name.as_str());
        set_if_some!(
            request,
            id = &new.id,
            description = &new.description,
            unit_label = &new.unit_label,
        );
        set_if_any!(request, metadata = new.metadata => unordered(&new.metadata));
        self.change(&request, key).await
    }

    /// Returns a product.
    pub async fn retrieve_product(&self, id: &str) -> Answer<Product> {
        self.read(&RetrieveProduct::new(id)).await
    }

    /// Changes a product.
    pub async fn update_product(
        &self,
        id: &str,
        change: &ProductChange,
        key: &str,
    ) -> Answer<Product> {
        let mut request = UpdateProduct::new(id);
        set_if_some!(
            request,
            name = &change.name,
            description = &change.description,
            active = change.active,
        );
        set_if_any!(request, metadata = change.metadata => unordered(&change.metadata));
        self.change(&request, key).await
    }

    /// Returns the products, or those that can be sold, or those that cannot.
    pub async fn list_products(
        &self,
        active: Option<bool>,
        cursor: Cursor<'_>,
    ) -> Answer<Page<Product>> {
        let mut request = turn_to!(ListProduct::new(), cursor);
        set_if_some!(request, active = active);
        self.read(&request).await
    }
}

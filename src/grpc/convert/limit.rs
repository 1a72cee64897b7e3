//! Windows and limits.

use super::to_duration;
use crate::domain::catalog::{Limit, Mode, OnLimit};
use crate::domain::window::Window;
use crate::grpc::pb;

impl From<Window> for pb::Window {
    fn from(window: Window) -> Self {
        let (kind, length) = match window {
            Window::Hour => (pb::WindowKind::Hour, None),
            Window::Day => (pb::WindowKind::Day, None),
            Window::Week => (pb::WindowKind::Week, None),
            Window::Month => (pb::WindowKind::Month, None),
            Window::BillingPeriod => (pb::WindowKind::BillingPeriod, None),
            Window::Lifetime => (pb::WindowKind::Lifetime, None),
            Window::Rolling(length) => (pb::WindowKind::Rolling, Some(to_duration(length))),
        };
        Self {
            kind: kind.into(),
            length,
        }
    }
}

impl From<&Limit> for pb::Limit {
    fn from(limit: &Limit) -> Self {
        let (on_limit, buffer) = match limit.on_limit {
            OnLimit::Block => (pb::OnLimit::Block, 0),
            OnLimit::AllowUpTo(buffer) => (pb::OnLimit::AllowUpTo, buffer),
            OnLimit::Allow => (pb::OnLimit::Allow, 0),
        };
        Self {
            amount: limit.amount,
            window: Some(limit.window.into()),
            on_limit: on_limit.into(),
            buffer,
            mode: pb::LimitMode::from(limit.mode).into(),
        }
    }
}

impl From<Mode> for pb::LimitMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Enforce => Self::Enforce,
            Mode::Observe => Self::Observe,
        }
    }
}

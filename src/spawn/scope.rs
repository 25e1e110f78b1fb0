//! Where the server is to live: in our own cgroup, in a scope of its own, or outside.
//!
//! A server stays in the cgroup of the client that started it, and systemd ends everything in a
//! service's cgroup when the service ends.

use super::manager::{self, Manager};
use super::outside::{self, View};
use super::place::Place;
use super::request::{Request, ScopeWish};
use super::words;
use crate::host::cgroup::{self, Service};
use crate::host::client::OUTSIDE;
use std::ffi::OsString;
use tmux_sockets::kernel::Uid;

/// What is to be done about the cgroup.
#[derive(Debug)]
pub(super) enum Plan {
    /// The spawn is made here.
    Here(Scope),
    /// It is made by a service of that manager, because of this.
    Outside(Manager, String),
    /// It cannot be made: one sentence.
    Impossible(String),
}

/// The server's scope, when one is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// None is needed or wanted.
    None,
    /// We were sent outside: it lives in the unit that we run in.
    Ours(String),
    /// To be made. `needed`: no server without it.
    Wanted { manager: Manager, needed: bool },
    /// Wanted, and nobody can make one: why.
    Unavailable(String),
}

/// Decides, before anything is started.
pub(super) fn plan(request: &Request, user: Uid, place: &Place) -> Plan {
    if let Ok(unit) = std::env::var(OUTSIDE) {
        return Plan::Here(Scope::Ours(unit));
    }
    let Some(service) = cgroup::own() else {
        return decide(request.scope, None, Manager::of(user, None));
    };
    let manager = Manager::of(user, Some(&service));
    let dir = place.dir.path();
    let view = outside::view(dir, &service, user, manager.as_ref().ok().copied());
    let why = match &view {
        View::Shared => return decide(request.scope, Some(&service), manager),
        View::Hidden(why) => words::hidden(dir, why),
        View::Mortal(why) => words::mortal(why),
        View::Unknown => words::unseen(dir, &service.unit),
    };
    match (request.scope, view, manager) {
        // `--scope never`: the server is meant to live and end with the unit.
        (ScopeWish::Never, View::Mortal(_), manager) => decide(ScopeWish::Never, Some(&service), manager),
        (ScopeWish::Never, ..) => {
            Plan::Impossible(format!("{why}, and with --scope never it cannot be started outside"))
        }
        (ScopeWish::Auto, View::Mortal(_), Err(error)) => decide(ScopeWish::Auto, Some(&service), Err(error)),
        (_, View::Unknown, _) => Plan::Impossible(why),
        (_, _, Ok(manager)) => Plan::Outside(manager, why),
        (_, _, Err(error)) => Plan::Impossible(format!("{why}; {error}")),
    }
}

fn decide(wish: ScopeWish, service: Option<&Service>, manager: Result<Manager, String>) -> Plan {
    match (wish, service, manager) {
        (ScopeWish::Never, ..) | (ScopeWish::Auto, None, _) => Plan::Here(Scope::None),
        (_, _, Ok(manager)) => Plan::Here(Scope::Wanted { manager, needed: wish == ScopeWish::Always }),
        (ScopeWish::Always, _, Err(error)) => Plan::Impossible(format!("no scope can be made: {error}")),
        (ScopeWish::Auto, Some(service), Err(error)) => {
            Plan::Here(Scope::Unavailable(format!("{error}; the session will end with {}", service.unit)))
        }
    }
}

/// The environment of a client that is started through a manager.
pub(super) fn environment(pwd: Option<OsString>) -> Vec<OsString> {
    let mut environment = manager::environment();
    if let Some(pwd) = pwd {
        let mut variable = OsString::from("PWD=");
        variable.push(pwd);
        environment.push(variable);
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_made_where_it_is_needed() {
        let service = Service { unit: "a.service".into(), is_users: true };
        let answer = |wish, service, manager| match decide(wish, service, manager) {
            Plan::Here(Scope::None) => "none",
            Plan::Here(Scope::Wanted { needed: true, .. }) => "needed",
            Plan::Here(Scope::Wanted { .. }) => "wanted",
            Plan::Here(_) => "unavailable",
            _ => "impossible",
        };
        let (some, none) = (|| Ok(Manager::System), || Err(String::new()));
        assert_eq!(answer(ScopeWish::Auto, None, some()), "none");
        assert_eq!(answer(ScopeWish::Auto, None, none()), "none");
        assert_eq!(answer(ScopeWish::Auto, Some(&service), some()), "wanted");
        assert_eq!(answer(ScopeWish::Auto, Some(&service), none()), "unavailable");
        assert_eq!(answer(ScopeWish::Always, None, some()), "needed");
        assert_eq!(answer(ScopeWish::Always, None, none()), "impossible");
        assert_eq!(answer(ScopeWish::Never, Some(&service), some()), "none");
    }
}

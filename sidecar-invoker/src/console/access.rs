//! The access to the console: from this machine, or with the token.

use std::fmt::Write;

use hyper::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue};
use ring::hmac;
use subtle::ConstantTimeEq;

use crate::net::Interface;

/// The cookie by which a browser proves that its user has given the token.
const COOKIE_NAME: &str = "lambda_mesh_console";

/// The rule that says who may use the console.
pub(super) struct Access {
    token: Option<Token>,
}

struct Token {
    secret: String,
    /// The value of the cookie, from which nobody can learn the token.
    cookie: String,
}

/// The reason for which access is refused. The text is for the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum AccessError {
    /// The request comes from another machine.
    #[error(
        "the console is open to the invoker's own machine only; set `console.token` in the invoker's configuration to \
         use it from others"
    )]
    OtherMachine,
    /// The request has no token.
    #[error(
        "the console asks for its token (`console.token` in the invoker's configuration): open /console/?token=TOKEN, \
         or send `Authorization: Bearer TOKEN`"
    )]
    NoToken,
    /// The token is another one.
    #[error("the token is not that of `console.token` in the invoker's configuration")]
    WrongToken,
}

impl Access {
    pub(super) fn new(secret: Option<String>) -> Self {
        let token = secret.map(|secret| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
            let tag = hmac::sign(&key, COOKIE_NAME.as_bytes());
            let cookie = tag.as_ref().iter().fold(String::new(), |mut hex, byte| {
                // Writing to a string cannot fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            Token { secret, cookie }
        });
        Self { token }
    }

    /// Checks a request that arrived on `interface`. The time that this takes does not depend on the token.
    ///
    /// # Errors
    /// Returns an error if the request has no access.
    pub(super) fn check(
        &self,
        interface: Interface,
        headers: &HeaderMap,
    ) -> Result<(), AccessError> {
        let Some(token) = &self.token else {
            return match interface {
                Interface::Network => Err(AccessError::OtherMachine),
                Interface::Loopback | Interface::UnixSocket => Ok(()),
            };
        };
        if let Some(value) = headers.get(AUTHORIZATION) {
            let given = value.as_bytes().split_at_checked("Bearer ".len());
            let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer "));
            return match given {
                Some((_, given)) => is_equal(given.trim_ascii(), &token.secret),
                None => Err(AccessError::NoToken),
            };
        }
        match cookies(headers).find(|(name, _)| *name == COOKIE_NAME) {
            Some((_, value)) => is_equal(value.as_bytes(), &token.cookie),
            None => Err(AccessError::NoToken),
        }
    }

    /// Returns the cookie for a user who gives the token in the address of the page.
    ///
    /// # Errors
    /// Returns an error if the token is another one.
    pub(super) fn cookie(&self, given: &str) -> Result<HeaderValue, AccessError> {
        let token = self.token.as_ref().ok_or(AccessError::OtherMachine)?;
        is_equal(given.as_bytes(), &token.secret)?;
        let cookie = format!(
            "{COOKIE_NAME}={}; Path=/console/; HttpOnly; SameSite=Strict",
            token.cookie
        );
        HeaderValue::try_from(cookie).map_err(|_| AccessError::WrongToken)
    }

    /// Returns whether the console has a token.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }
}

fn is_equal(given: &[u8], expected: &str) -> Result<(), AccessError> {
    match bool::from(given.ct_eq(expected.as_bytes())) {
        true => Ok(()),
        false => Err(AccessError::WrongToken),
    }
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let values = headers.get_all(COOKIE).into_iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let cookies = values.flat_map(|value| value.split(';'));
    cookies.filter_map(|cookie| cookie.trim().split_once('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn check(access: &Access, headers: &[(&'static str, &str)]) -> Result<(), AccessError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        access.check(Interface::Network, &map)
    }

    #[test]
    fn without_a_token_only_this_machine_has_access() {
        let access = Access::new(None);
        let none = HeaderMap::new();
        assert_eq!(access.check(Interface::Loopback, &none), Ok(()));
        assert_eq!(check(&access, &[]), Err(AccessError::OtherMachine));
        let any = [("authorization", "Bearer x")];
        assert_eq!(check(&access, &any), Err(AccessError::OtherMachine));
    }

    #[test]
    fn a_token_is_given_in_a_header_or_a_cookie() {
        let access = Access::new(Some(TOKEN.to_owned()));
        let none = HeaderMap::new();
        assert_eq!(
            access.check(Interface::Loopback, &none),
            Err(AccessError::NoToken)
        );
        let bearer = |token: &str| check(&access, &[("authorization", &format!("bearer {token}"))]);
        assert_eq!(bearer(TOKEN), Ok(()));
        for wrong in ["", "x", TOKEN.get(1..).unwrap(), &format!("{TOKEN}0")] {
            assert_eq!(bearer(wrong), Err(AccessError::WrongToken), "{wrong}");
            assert_eq!(access.cookie(wrong), Err(AccessError::WrongToken));
        }
        assert_eq!(
            check(&access, &[("authorization", "Basic eDp4")]),
            Err(AccessError::NoToken)
        );
        let cookie = access.cookie(TOKEN).unwrap();
        let cookie = cookie.to_str().unwrap();
        assert!(!cookie.contains(TOKEN));
        let pair = cookie.split(';').next().unwrap();
        assert_eq!(
            check(&access, &[("cookie", &format!("a=b; {pair}"))]),
            Ok(())
        );
        assert_eq!(
            check(&access, &[("cookie", &format!("{pair}0"))]),
            Err(AccessError::WrongToken)
        );
        let raw = format!("{COOKIE_NAME}={TOKEN}");
        assert_eq!(
            check(&access, &[("cookie", &raw)]),
            Err(AccessError::WrongToken)
        );
    }
}

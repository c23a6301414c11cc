//! The sandbox behind `sidepass demo`: token services and APIs in the shape of the real ones, and an app that can't do OAuth.
//!
//! Invariant: the sandbox is strict. A wrong placement of credentials, a wrong content type, a wrong secret or an expired token
//! gets the refusal that the real system gives, so that what works here is what works there. Everything is on loopback, every
//! secret is made at start, nothing is printed.
//!
//! | system | token service | API |
//! |---|---|---|
//! | SAP Conversational AI | `xsuaa`: Basic and a form body | `cai`: bearer token and `X-Token` |
//! | SuccessFactors Learning | `lms`: Basic and a JSON body with a scope object | `items`: bearer token |
//! | Leonardo IoT | `xsuaa`: Basic and a form body, no scope | `iot`: bearer token |

mod app;
mod cai;
mod call;
mod client;
mod counter;
mod form;
mod intent;
mod iot;
mod items;
mod jwt;
mod lms;
mod page;
mod random;
mod server;
#[cfg(test)]
mod tests;
mod xsuaa;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use app::DemoApp;
pub use counter::Counts;

use cai::ConversationalAi;
use iot::LeonardoIot;
use jwt::SigningKey;
use lms::Learning;
use server::{Port, Server, Service};
use xsuaa::Xsuaa;

/// The systems of the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    /// SAP Conversational AI.
    Cai,
    /// SuccessFactors Learning.
    Lms,
    /// Leonardo IoT.
    Iot,
}

impl System {
    /// All of them, in the order of `proxy.yaml`.
    pub const ALL: [System; 3] = [System::Cai, System::Lms, System::Iot];
}

/// Token services and APIs in the shape of the real ones, each on a loopback port of its own. They end when it is dropped.
pub struct Sandbox {
    environment: BTreeMap<String, String>,
    cai: Arc<Xsuaa>,
    lms: Arc<Learning>,
    iot: Arc<Xsuaa>,
    token_servers: [Server; 3],
    _apis: [Server; 3],
}

impl Sandbox {
    /// Starts all servers; needs a tokio runtime around it. `lifetime` is what the token services announce as `expires_in`, in
    /// whole seconds, at least one; a token is refused as soon as it has run out, at most a second later (a JWT's `exp` is in
    /// whole seconds).
    ///
    /// # Errors
    /// When no port is free, or the system gives no randomness.
    pub async fn start(lifetime: Duration) -> io::Result<Sandbox> {
        let lifetime = Duration::from_secs(lifetime.as_secs().max(1));
        let make = || tokio::task::spawn_blocking(SigningKey::generate);
        let (cai_key, iot_key) = tokio::try_join!(make(), make())?;
        let (cai_key, iot_key) = (cai_key?, iot_key?);

        let tokens = [Port::free()?, Port::free()?, Port::free()?];
        let apis = [Port::free()?, Port::free()?, Port::free()?];
        let cai = Arc::new(Xsuaa::new(&tokens[0].origin(), cai::CLIENT, cai_key, lifetime)?);
        let lms = Arc::new(Learning::new(lifetime)?);
        let iot = Arc::new(Xsuaa::new(&tokens[2].origin(), iot::CLIENT, iot_key, lifetime)?);
        let bot = ConversationalAi::new(Arc::clone(&cai))?;
        let things = LeonardoIot::new(Arc::clone(&iot));
        let environment = environment([&cai, &iot], &lms, &bot, &tokens[1].origin(), &apis);

        let (cai_tokens, lms_tokens, iot_tokens) = (Arc::clone(&cai), Arc::clone(&lms), Arc::clone(&iot));
        let learning = Arc::clone(&lms);
        Ok(Self {
            environment,
            cai,
            lms,
            iot,
            token_servers: start(
                tokens,
                [
                    Service::sync(move |call| cai_tokens.answer(call)),
                    Service::sync(move |call| lms_tokens.answer_token(call)),
                    Service::sync(move |call| iot_tokens.answer(call)),
                ],
            ),
            _apis: start(
                apis,
                [
                    Service::sync(move |call| bot.answer(call)),
                    Service::sync(move |call| learning.answer_items(call)),
                    Service::sync(move |call| things.answer(call)),
                ],
            ),
        })
    }

    /// What the variables of `proxy.yaml` must be to point at the sandbox. Holds secrets in the clear: hand it to the
    /// configuration and nothing else.
    pub fn environment(&self) -> BTreeMap<String, String> {
        self.environment.clone()
    }

    /// How many tokens a system has issued and refused so far.
    pub fn counts(&self, system: System) -> Counts {
        match system {
            System::Cai => self.cai.counter.read(),
            System::Lms => self.lms.counter.read(),
            System::Iot => self.iot.counter.read(),
        }
    }

    /// Stops a system's token service: its connections end, and new ones are refused when this returns. Its API goes on.
    pub async fn stop_token_service(&self, system: System) {
        self.token_server(system).stop().await;
    }

    /// Starts a stopped token service again, at the same address and with the same secrets; does nothing while it runs.
    ///
    /// # Errors
    /// When somebody else has taken the port meanwhile; on Linux it is kept.
    pub fn resume_token_service(&self, system: System) -> io::Result<()> {
        self.token_server(system).resume()
    }

    fn token_server(&self, system: System) -> &Server {
        let [cai, lms, iot] = &self.token_servers;
        match system {
            System::Cai => cai,
            System::Lms => lms,
            System::Iot => iot,
        }
    }
}

fn start(ports: [Port; 3], services: [Service; 3]) -> [Server; 3] {
    let [first, second, third] = ports;
    let [one, two, three] = services;
    [Server::start(first, one), Server::start(second, two), Server::start(third, three)]
}

fn environment(
    [cai, iot]: [&Xsuaa; 2],
    lms: &Learning,
    bot: &ConversationalAi,
    lms_tokens: &str,
    [cai_api, lms_api, iot_api]: &[Port; 3],
) -> BTreeMap<String, String> {
    let (cai_id, cai_secret) = cai.client_credentials();
    let (iot_id, iot_secret) = iot.client_credentials();
    [
        ("CAI_TOKEN_URL", cai.token_url().to_owned()),
        ("CAI_API_URL", cai_api.origin()),
        ("CAI_CLIENT_ID", cai_id.to_owned()),
        ("CAI_CLIENT_SECRET", cai_secret.expose().to_owned()),
        ("CAI_REQUEST_TOKEN", bot.request_token().expose().to_owned()),
        ("LMS_TOKEN_URL", format!("{lms_tokens}{}", lms::TOKEN_PATH)),
        ("LMS_API_URL", format!("{}{}", lms_api.origin(), items::BASE)),
        ("LMS_COMPANY_ID", lms::COMPANY.to_owned()),
        ("LMS_CLIENT_SECRET", lms.client_secret().expose().to_owned()),
        ("IOT_TOKEN_URL", iot.token_url().to_owned()),
        ("IOT_API_URL", iot_api.origin()),
        ("IOT_CLIENT_ID", iot_id.to_owned()),
        ("IOT_CLIENT_SECRET", iot_secret.expose().to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

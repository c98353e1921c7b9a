//! AWS's Runtime Interface Emulator, which every Lambda base image has.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use crate::endpoint::{Endpoint, free_address};
use crate::process::Process;
use crate::shared::Component;

/// A running emulator. It crashes if two invocations overlap.
#[derive(Debug)]
pub struct Emulator {
    /// The address of the Invoke API, which serves only the function name `function`.
    pub address: SocketAddr,
    process: Process,
}

impl Emulator {
    /// Starts the emulator with the program `bootstrap` as its function. If AWS publishes no emulator for
    /// this platform, it records that the test `name` is skipped, and returns `None`.
    pub fn start(name: &str, bootstrap: &Path) -> Option<Self> {
        let binary = match xtask::emulator::binary() {
            Ok(binary) => binary,
            Err(error) if cfg!(target_os = "linux") => panic!("{error:#}"),
            Err(error) => {
                xtask::skip(name, &format!("{error:#}"));
                return None;
            }
        };
        let (address, runtime_api) = (free_address(), free_address());
        let mut command = Command::new(binary);
        command
            .args(["--runtime-interface-emulator-address", &address.to_string()])
            .args(["--runtime-api-address", &runtime_api.to_string()])
            .arg(bootstrap);
        let process = Process::start("the emulator", &command);
        let ready = process.wait_until(|_| TcpStream::connect(address).ok());
        let (process, _) = ready.unwrap_or_else(|error| panic!("{error}"));
        Some(Self { address, process })
    }
}

impl From<&Emulator> for Endpoint {
    fn from(emulator: &Emulator) -> Self {
        Self::Tcp(emulator.address)
    }
}

impl Component for Emulator {
    fn log(&self) -> String {
        self.process.log()
    }

    fn alive(&self) -> bool {
        self.process.alive()
    }
}

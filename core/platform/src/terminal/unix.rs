use std::io;

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

pub fn without_echo<T>(read: impl FnOnce() -> T) -> io::Result<T> {
    let stdin = io::stdin();
    let before = tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
    let result = read();
    tcsetattr(&stdin, OptionalActions::Flush, &before)?;
    Ok(result)
}

//! Asks the API over its unix socket, where the bench is an admin.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use etl_shared::{
    TenantId,
    api::{CreateToken, CreatedToken, Role},
};

use crate::outcome::{Doing, Outcome};

/// Makes a token; one that is not an admin's is for tenant 1.
pub(super) fn token(socket: &Path, role: Role) -> Outcome<CreatedToken> {
    let tenant_id = (role != Role::Admin).then(|| TenantId::try_from(1)).transpose()?;
    let body = serde_json::to_string(&CreateToken { name: "bench".to_owned(), role, tenant_id })?;
    let mut stream = UnixStream::connect(socket).doing(socket.display())?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    // HTTP 1.0, so that the end of the connection is the end of the body.
    let head = format!(
        "POST /api/v1/admin/tokens HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}",
        body.len()
    );
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).doing("ask for a token")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).doing("read a token")?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or("the API gave no HTTP answer")?;
    serde_json::from_str(body).doing(format!("understand {answer}"))
}

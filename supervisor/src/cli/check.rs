//! Checks what can be checked without the network, and names every problem, not only the first.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use etl_shared::tls::Authorities;
use miette::Report;
use nix::unistd::{AccessFlags, access};

use super::{
    Place,
    finding::{self, Finding},
    output,
};
use crate::{
    causes::in_one_line,
    keeper::program,
    settings::{Queue, Settings},
};

/// Looks at everything that the configuration names.
pub(super) fn check(place: &Place) -> Result<ExitCode, Report> {
    let path = place.path();
    let settings = match place.settings() {
        Ok(settings) => settings,
        Err(report) => {
            // Without the first line, which says only that the configuration is what it is about.
            let detail = output::causes(&report).split_off(1).join(": ").replace('\n', " ");
            let advice = "correct it; the rest is checked when the configuration can be read";
            return finding::show(&[Finding::fail("configuration", detail, advice)]);
        }
    };
    let mut findings = vec![Finding::ok("configuration", format!("{} can be used", path.display()))];
    findings.extend(local(&settings));
    finding::show(&findings)
}

/// What `doctor` looks at too.
pub(super) fn local(settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![tenants(settings)];
    findings.extend(secret_files(settings).into_iter().map(|(key, path)| secret(key, path)));
    findings.extend(authorities(settings));
    findings.extend(settings.queues.iter().flat_map(|(name, queue)| template(&format!("queues.{name}"), queue)));
    let runtime = &settings.runtime;
    for (key, path) in [
        ("runtime.directory", &runtime.directory),
        ("runtime.log_directory", &runtime.log_directory),
        ("runtime.state_directory", &runtime.state_directory),
    ] {
        findings.push(directory(key, path));
    }
    findings.extend(listen(settings));
    findings
}

fn tenants(settings: &Settings) -> Finding {
    match (&settings.tenants, &settings.database) {
        (Some(set), _) => Finding::ok("tenants", format!("{} listed in the configuration", set.0.len())),
        (None, Some(database)) => Finding::ok("tenants", format!("asked of the database: {}", database.tenants_query)),
        (None, None) => {
            Finding::fail("tenants", "nothing says which there are", "set [database] url, or tenants = [1, 2]")
        }
    }
}

fn secret_files(settings: &Settings) -> Vec<(&'static str, &PathBuf)> {
    let broker = settings.broker.iter().flat_map(|broker| {
        [
            ("broker.password_file", &broker.password_file),
            ("broker.worker_password_file", &broker.worker_password_file),
            ("broker.management_password_file", &broker.management_password_file),
        ]
    });
    let database = settings.database.iter().flat_map(|database| {
        [
            ("database.password_file", &database.password_file),
            ("database.worker_password_file", &database.worker_password_file),
        ]
    });
    let jwt = settings.auth.jwt.iter().flat_map(|jwt| [("auth.jwt.secret_file", &jwt.secret_file)]);
    broker.chain(database).chain(jwt).filter_map(|(key, path)| Some((key, path.as_ref()?))).collect()
}

fn secret(key: &str, path: &Path) -> Finding {
    let shown = path.display();
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let advice = "create the file, or make it readable for the supervisor's user";
            return Finding::fail(key, format!("{shown} cannot be read: {error}"), advice);
        }
    };
    if text.trim().is_empty() {
        return Finding::fail(key, format!("{shown} is empty"), "write the password into it");
    }
    let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o004 != 0 {
        let detail = format!("{shown} can be read by everybody on this machine");
        return Finding::warn(key, detail, format!("chmod o-r {shown}"));
    }
    Finding::ok(key, format!("{shown} can be read"))
}

/// The files with the certificates of authorities.
fn authorities(settings: &Settings) -> Vec<Finding> {
    let broker = settings.broker.as_ref().and_then(|broker| broker.ca_file.as_ref());
    let database = settings.database.as_ref().and_then(|database| database.ca_file.as_ref());
    let keys = settings.auth.jwt.as_ref().and_then(|jwt| jwt.jwks_ca_file.as_ref());
    let files = [("broker.ca_file", broker), ("database.ca_file", database), ("auth.jwt.jwks_ca_file", keys)];
    let look = |(key, file): (&str, Option<&PathBuf>)| {
        let file = file?;
        Some(match Authorities::text_of(file) {
            Ok(_) => Finding::ok(key, format!("{} can be read", file.display())),
            Err(error) => {
                let advice = "put the authority's certificates there as PEM, readable for the supervisor's user";
                Finding::fail(key, in_one_line(&error), advice)
            }
        })
    };
    files.into_iter().filter_map(look).collect()
}

fn template(key: &str, queue: &Queue) -> Vec<Finding> {
    let mut findings = Vec::new();
    let subject = format!("{key}.command");
    findings.push(match program::of_template(queue) {
        // Which program it is depends on the tenant.
        _ if queue.command.first().is_some_and(|name| name.contains('{')) => {
            Finding::ok(&subject, format!("{} is filled in for each worker", queue.command.join(" ")))
        }
        Ok(program) => Finding::ok(&subject, program.display().to_string()),
        Err(error) => {
            Finding::fail(&subject, error.to_string(), "install the program, or write its whole path into the command")
        }
    });
    if let Some(directory) = queue.working_directory.as_ref().filter(|directory| !directory.is_dir()) {
        let detail = format!("{} is not a directory", directory.display());
        findings.push(Finding::fail(
            &format!("{key}.working_directory"),
            detail,
            "create it, or leave the key out: each worker then has one of its own",
        ));
    }
    findings
}

fn directory(key: &str, path: &Path) -> Finding {
    let shown = path.display();
    // The nearest one that exists decides whether the rest can be made.
    let existing = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    if !existing.is_dir() {
        let detail = format!("{} is not a directory", existing.display());
        return Finding::fail(key, detail, "move it away, or choose another path");
    }
    if access(existing, AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
        let detail = format!("this user may not write to {}", existing.display());
        return Finding::fail(key, detail, "run this as the supervisor's user, or give the directory to it");
    }
    let state = if existing == path { "exists" } else { "will be created" };
    Finding::ok(key, format!("{shown} {state}"))
}

fn listen(settings: &Settings) -> Option<Finding> {
    let address = settings.api.listen?;
    if address.ip().is_loopback() {
        return Some(Finding::ok("api.listen", format!("{address}, this machine only")));
    }
    let advice = "put a proxy with TLS before it, or listen on 127.0.0.1";
    Some(Finding::warn("api.listen", format!("{address} can be reached from elsewhere, without TLS"), advice))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::finding::Mark;

    #[test]
    fn every_problem_is_named_not_only_the_first() {
        let place = tempfile::tempdir().unwrap();
        let config = place.path().join("config.toml");
        let text = format!(
            "tenants = [1]\n[broker]\nurl = \"amqp://u@h/%2f\"\npassword_file = \"{0}/absent\"\n\
             ca_file = \"{0}/config.toml\"\n\
             [runtime]\ndirectory = \"{0}/run\"\nlog_directory = \"{0}/config.toml/log\"\nstate_directory = \"{0}\"\n\
             [api]\nlisten = \"0.0.0.0:8750\"\n\
             [queues.transform]\ncommand = [\"no-such-program\"]\nworking_directory = \"{0}/absent\"\n\
             [queues.sync]\ncommand = [\"{0}/config.toml\"]\n",
            place.path().display()
        );
        fs::write(&config, text).unwrap();
        let findings = local(&Settings::load(&config).unwrap());
        let marked = |mark| -> Vec<_> {
            findings.iter().filter(|finding| finding.mark == mark).map(|finding| finding.subject.as_str()).collect()
        };
        assert_eq!(
            marked(Mark::Fail),
            [
                "broker.password_file",
                "broker.ca_file",
                "queues.sync.command",
                "queues.transform.command",
                "queues.transform.working_directory",
                "runtime.log_directory",
            ]
        );
        assert_eq!(marked(Mark::Warn), ["api.listen"]);
        assert_eq!(marked(Mark::Ok), ["tenants", "runtime.directory", "runtime.state_directory"]);
        assert!(findings.iter().all(|finding| finding.mark == Mark::Ok || finding.advice.is_some()));
    }

    #[test]
    fn a_secret_that_everybody_can_read_is_worth_a_warning() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(secret("k", file.path()).mark, Mark::Fail);
        fs::write(file.path(), "s3cret\n").unwrap();
        assert_eq!(secret("k", file.path()).mark, Mark::Ok);
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(secret("k", file.path()).mark, Mark::Warn);
    }
}

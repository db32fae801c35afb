//! Who could read along: connections that leave this machine without TLS.

use std::net::IpAddr;

use etl_shared::{amqp, postgres};
use tokio_postgres::config::Host;
use url::Url;

use crate::{cli::finding::Finding, settings::Settings};

/// What leaves the machine unencrypted.
pub(super) fn look(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(broker) = &settings.broker {
        let urls = [("broker.url", Some(&broker.url)), ("broker.worker_url", broker.worker_url.as_ref())];
        for (key, url) in urls {
            if let Some(Ok(address)) = url.map(amqp::parse_url)
                && !address.is_encrypted()
                && !is_here(&address.uri.authority.host)
            {
                let advice = "begin it with amqps://, at the broker's port for TLS (usually 5671)";
                findings.push(readable(key, &address.uri.authority.host, advice));
            }
        }
        if let Ok(Some(url)) = broker.management_url()
            && let Ok(url) = Url::parse(secrecy::ExposeSecret::expose_secret(&url))
            && let ("http", Some(host)) = (url.scheme(), url.host_str())
            && !is_here(host)
        {
            let advice = "begin it with https://, at the management API's port for TLS (usually 15671)";
            findings.push(readable("broker.management_url", host, advice));
        }
    }
    if let Some(database) = &settings.database {
        let urls = [
            ("database.url", Some(&database.url)),
            ("database.worker_url", database.worker_url.as_ref()),
            ("database.admin_url", database.admin_url.as_ref()),
        ];
        for (key, url) in urls {
            if let Some(Ok(address)) = url.map(postgres::parse_url)
                && !address.is_encrypted()
                && let Some(host) = elsewhere(&address)
            {
                findings.push(readable(key, &host, "add sslmode=verify-full to it, and name ca_file"));
            }
        }
    }
    findings
}

fn readable(key: &str, host: &str, advice: &str) -> Finding {
    Finding::warn(key, format!("passwords and documents cross the network to {host} without TLS"), advice)
}

/// The first host that is not this machine.
fn elsewhere(address: &postgres::Address) -> Option<String> {
    let addresses = address.config.get_hostaddrs().iter();
    if let Some(away) = addresses.clone().find(|address| !address.is_loopback()) {
        return Some(away.to_string());
    }
    // An address, where there is one, is what is connected to.
    let hosts = address.config.get_hosts().iter().filter(|_| addresses.len() == 0);
    hosts
        .filter_map(|host| if let Host::Tcp(name) = host { Some(name) } else { None })
        .find(|name| !is_here(name))
        .cloned()
}

fn is_here(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn warned(broker: &str, management: &str, database: &str) -> Vec<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = format!(
            "tenants = [1]\n[broker]\nurl = \"{broker}\"\nmanagement_url = \"{management}\"\n[database]\nurl = \"{database}\"\n"
        );
        fs::write(file.path(), text).unwrap();
        look(&Settings::load(file.path()).unwrap()).into_iter().map(|finding| finding.subject).collect()
    }

    #[test]
    fn what_leaves_the_machine_without_tls_is_worth_a_warning() {
        let all = ["broker.url", "broker.management_url", "database.url"];
        assert_eq!(warned("amqp://u@mq/%2f", "http://u@mq:15672", "postgres://u@db/d?sslmode=prefer"), all);
        for (broker, management, database) in [
            ("amqps://u@mq/%2f", "https://u@mq:15671", "postgres://u@db/d?sslmode=require"),
            ("amqp://u@localhost/%2f", "http://u@127.0.0.1:15672", "postgres://u@[::1]/d"),
            ("amqp://u@[::1]/%2f", "http://u@[::1]:15672", "postgres:///d?host=/run/postgresql&user=u"),
        ] {
            assert!(warned(broker, management, database).is_empty(), "{broker}");
        }
    }
}

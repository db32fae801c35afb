//! What stands between workers here, in words.

use etl_shared::api::Wall;
use nix::unistd::geteuid;

use super::{
    isolation::{Isolation, unreachable},
    protocol::brief,
    template::Templates,
    users::Users,
};

/// Every wall, up or not.
pub(super) fn of(isolation: &Isolation, templates: &Templates) -> Vec<Wall> {
    vec![
        users(isolation, templates),
        privileges(isolation),
        filesystem(isolation),
        cgroups(isolation),
        memory(isolation),
        tasks(isolation),
        cpu(isolation),
        wall("core dumps", true, "no memory of a worker is written to a disk".to_owned()),
    ]
}

fn wall(name: &str, up: bool, detail: String) -> Wall {
    // All of them travel in one report.
    Wall { name: name.to_owned(), up, detail: brief(detail) }
}

fn users(isolation: &Isolation, templates: &Templates) -> Wall {
    if let Some(why_not) = isolation.users.why_not() {
        return wall("users", false, why_not);
    }
    let kept_out = templates.iter().filter_map(|(queue_type, queue)| {
        let why = unreachable(queue, &templates.program(queue).ok()?).err()?;
        Some(format!("workers of type {queue_type} run as the keeper's user: {why}"))
    });
    match kept_out.collect::<Vec<_>>() {
        none if none.is_empty() => {
            wall("users", true, format!("each tenant is a user of its own, from {}", isolation.wishes.uid_range))
        }
        some => wall("users", false, some.join("; ")),
    }
}

fn privileges(isolation: &Isolation) -> Wall {
    if geteuid().is_root() && !matches!(isolation.users, Users::On(_)) {
        let detail = "workers have no capabilities, but they are root, who owns most files: see users";
        return wall("privileges", false, detail.to_owned());
    }
    let groups = if matches!(isolation.users, Users::On(_)) { ", no supplementary groups" } else { "" };
    wall("privileges", true, format!("no capabilities{groups}, and nothing that could give new ones"))
}

fn filesystem(isolation: &Isolation) -> Wall {
    match &isolation.filesystem {
        Ok(filesystem) if filesystem.signals => {
            wall("filesystem", true, "Landlock: own directory and the system's, signals to nobody else".to_owned())
        }
        Ok(_) => wall("filesystem", true, "Landlock: own directory and the system's".to_owned()),
        Err(why_not) => wall("filesystem", false, why_not.clone()),
    }
}

fn cgroups(isolation: &Isolation) -> Wall {
    match &isolation.groups {
        Ok(groups) => wall("cgroups", true, format!("a group for each worker in {}", groups.path().display())),
        Err(why_not) => wall("cgroups", false, why_not.clone()),
    }
}

fn memory(isolation: &Isolation) -> Wall {
    if isolation.is_limited("memory") {
        return wall("memory", true, "memory_max is kept by the kernel for a worker and all that it starts".to_owned());
    }
    let detail = "no memory controller: the supervisor looks at memory_max now and then, and a process may ask for twice as much";
    wall("memory", false, detail.to_owned())
}

fn tasks(isolation: &Isolation) -> Wall {
    if isolation.is_limited("pids") {
        return wall("tasks", true, "tasks_max is kept by the kernel for each worker".to_owned());
    }
    if matches!(isolation.users, Users::On(_)) {
        return wall(
            "tasks",
            true,
            "no pids controller: tasks_max is kept for all workers of a tenant together".to_owned(),
        );
    }
    wall("tasks", false, "neither a pids controller nor users: tasks_max is not kept".to_owned())
}

fn cpu(isolation: &Isolation) -> Wall {
    if isolation.is_limited("cpu") {
        return wall("cpu", true, "processors are shared by cpu_weight".to_owned());
    }
    wall(
        "cpu",
        false,
        "no cpu controller: the kernel gives each process its share, whatever cpu_weight says".to_owned(),
    )
}

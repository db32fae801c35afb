//! What keeps workers apart on this machine, as the keeper says.

use etl_shared::api::Wall;

use crate::{
    cli::finding::Finding,
    settings::{Isolation, Wish},
};

/// A wall that is down is worth a thought; one that is insisted on keeps every worker from starting.
pub(super) fn finding(wall: &Wall, wishes: &Isolation) -> Finding {
    let subject = format!("wall: {}", wall.name);
    if wall.up {
        return Finding::ok(&subject, wall.detail.clone());
    }
    let wish = match wall.name.as_str() {
        "users" => Some(wishes.users),
        "filesystem" => Some(wishes.filesystem),
        "cgroups" => Some(wishes.cgroups),
        _ => None,
    };
    match wish {
        Some(Wish::Off) => Finding::ok(&subject, wall.detail.clone()),
        Some(Wish::Required) => {
            let advice = format!("no worker starts until that is changed, or isolation.{} is \"auto\"", wall.name);
            Finding::fail(&subject, wall.detail.clone(), advice)
        }
        Some(Wish::Auto) => Finding::warn(
            &subject,
            wall.detail.clone(),
            format!("put that right, or write isolation.{} = \"off\" where it is meant to be so", wall.name),
        ),
        None => Finding::warn(&subject, wall.detail.clone(), advice(&wall.name)),
    }
}

fn advice(name: &str) -> &'static str {
    match name {
        "privileges" => "let the keeper run workers as users of their own",
        "memory" | "tasks" | "cpu" => "run the keeper as the systemd unit, which has Delegate=memory pids cpu",
        _ => "see docs/security.md",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::finding::Mark;

    #[test]
    fn how_bad_a_missing_wall_is_depends_on_what_was_wished() {
        let down = |name: &str| Wall { name: name.to_owned(), up: false, detail: "no Landlock".to_owned() };
        let mark = |wish| finding(&down("filesystem"), &Isolation { filesystem: wish, ..Isolation::default() }).mark;
        assert_eq!([Wish::Auto, Wish::Required, Wish::Off].map(mark), [Mark::Warn, Mark::Fail, Mark::Ok]);
        assert_eq!(finding(&down("memory"), &Isolation::default()).mark, Mark::Warn);
        let up = Wall { up: true, ..down("filesystem") };
        assert_eq!(finding(&up, &Isolation::default()).mark, Mark::Ok);
    }
}

//! As whom workers and commands write and read through access points.
//!
//! The worker writes a demand's env file on the scratch volume with mode 0600, and the command
//! reads it there. An access point with a `PosixUser` makes both one user, whatever their images
//! say (<https://docs.aws.amazon.com/efs/latest/ug/enforce-identity-access-points.html>).

use aws_sdk_efs::types::{AccessPointDescription, CreationInfo, PosixUser};

use super::super::finding::Finding;
use super::Entered;

/// Reading, writing and entering, in one class of a mode's bits.
const ALL: u32 = 0o7;

pub(super) fn check(entered: &[Entered], writes_env_files: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for Entered { role, access_point } in entered {
        let what = format!("access point {} ({role})", name(access_point));
        match access_point.posix_user() {
            None if *role == "scratch" && writes_env_files => findings.push(Finding::warning(
                format!(
                    "{what} has no PosixUser: the worker writes a demand's env file as its \
                     image's user, for that user alone (mode 0600), and a command whose image \
                     has another user cannot read it"
                ),
                "use an access point with a PosixUser, or set plan.env_file_writer = \"none\"",
            )),
            None => {}
            Some(user) => findings.extend(locked_out(&what, access_point, user)),
        }
    }
    for (position, one) in entered.iter().enumerate() {
        for other in &entered[position + 1..] {
            findings.extend(at_odds(one, other));
        }
    }
    findings
}

/// A user who cannot enter the directory that was made for the access point.
fn locked_out(
    what: &str,
    access_point: &AccessPointDescription,
    user: &PosixUser,
) -> Option<Finding> {
    let made = access_point.root_directory()?.creation_info()?;
    let bits = u32::from_str_radix(made.permissions(), 8).ok()?;
    if has_all(user, made, bits) {
        return None;
    }
    let what = format!(
        "{what} acts as user {}:{}, for whom its root directory ({}:{}, mode {bits:04o}) is \
         closed: the worker cannot write there (on scratch: a demand's env file), nor the command read",
        user.uid, user.gid, made.owner_uid, made.owner_gid
    );
    let what_to_do = "give the directory to that user, unless it was there before the access point";
    Some(Finding::warning(what, what_to_do))
}

fn has_all(user: &PosixUser, made: &CreationInfo, bits: u32) -> bool {
    let in_group = user.gid == made.owner_gid || user.secondary_gids().contains(&made.owner_gid);
    let class = if user.uid == made.owner_uid {
        bits >> 6
    } else if in_group {
        bits >> 3
    } else {
        bits
    };
    class & ALL == ALL
}

/// Two access points that reach the same directories as different users.
fn at_odds(one: &Entered, other: &Entered) -> Option<Finding> {
    let (a, b) = (&one.access_point, &other.access_point);
    let (user_a, user_b) = (a.posix_user()?, b.posix_user()?);
    let overlap = a.file_system_id() == b.file_system_id()
        && (is_below(root(a), root(b)) || is_below(root(b), root(a)));
    (overlap && user_a.uid != user_b.uid).then(|| {
        let what = format!(
            "access points {} ({}) and {} ({}) reach the same directories as users {} and {}: an \
             env file (mode 0600) written through one cannot be read through the other",
            name(a),
            one.role,
            name(b),
            other.role,
            user_a.uid,
            user_b.uid
        );
        Finding::warning(what, "give both the same PosixUser, or directories of their own")
    })
}

fn name(access_point: &AccessPointDescription) -> &str {
    access_point.access_point_id().unwrap_or("without an id")
}

fn root(access_point: &AccessPointDescription) -> &str {
    access_point.root_directory().and_then(|root| root.path()).unwrap_or("/").trim_end_matches('/')
}

/// Whether `path` is `above` or below it; both without a slash at the end.
fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

//! Ids and ARNs of EFS file systems and access points (the reference's `models/aws/efs.py`).

/// The file system id in `text`: an id or an ARN; `None` for anything else, such as a name.
pub fn file_system_id(text: &str) -> Option<&str> {
    resource_id(text, ":file-system/", "fs-")
}

/// The access point id in `text`: an id or an ARN; `None` for anything else, such as a name.
pub fn access_point_id(text: &str) -> Option<&str> {
    resource_id(text, ":access-point/", "fsap-")
}

fn resource_id<'t>(text: &'t str, kind: &str, prefix: &str) -> Option<&'t str> {
    let id = match text.split_once(kind) {
        Some((arn, id)) if is_arn(arn) => id,
        Some(_) => return None,
        None => text,
    };
    let digits = id.strip_prefix(prefix)?;
    let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    ((8..=40).contains(&digits.len()) && digits.bytes().all(hexadecimal)).then_some(id)
}

/// `arn:aws…:elasticfilesystem:<region>:<account>`.
fn is_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let ["arn", partition, "elasticfilesystem", region, account] = parts.as_slice() else {
        return false;
    };
    partition
        .strip_prefix("aws")
        .is_some_and(|rest| rest.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase()))
        && is_region(region)
        && (10..=12).contains(&account.len())
        && account.bytes().all(|byte| byte.is_ascii_digit())
}

/// The regions the reference knows: `us-west-2`, `us-gov-east-1`, `ap-northeast-1`, …
fn is_region(text: &str) -> bool {
    const AREAS: [&str; 7] = ["us-gov-", "us-", "ap-", "ca-", "cn-", "eu-", "sa-"];
    let Some(rest) = AREAS.iter().find_map(|area| text.strip_prefix(area)) else { return false };
    let Some((direction, number)) = rest.rsplit_once('-') else { return false };
    let direction = match direction {
        "central" => "",
        other => {
            other.strip_prefix("north").or_else(|| other.strip_prefix("south")).unwrap_or(other)
        }
    };
    matches!(direction, "" | "east" | "west")
        && number.len() == 1
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

//! Parameter names as environment variable names, and those that are refused.

/// The environment variable of a parameter: `-` and `.` become `_`, letters upper case
/// (the reference's `JobParamEnvName`). `None` where no variable can have that name.
pub fn env_name(parameter: &str) -> Option<String> {
    let name = parameter.replace(['-', '.'], "_").to_uppercase();
    is_identifier(&name).then_some(name)
}

/// `[_a-zA-Z][_a-zA-Z0-9]*`.
pub(crate) fn is_identifier(name: &str) -> bool {
    name.bytes().next().is_some_and(|byte| byte == b'_' || byte.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

/// Why a variable of that name must not come from a parameter; `None` where it may.
///
/// These decide which programs and libraries a shell, the dynamic linker or an interpreter
/// loads, so a parameter could run something else than the command.
pub fn why_forbidden(env_name: &str) -> Option<&'static str> {
    // https://docs.aws.amazon.com/batch/latest/APIReference/API_ContainerOverrides.html
    if env_name.starts_with("AWS_BATCH") {
        return Some("AWS Batch keeps names that start so for itself");
    }
    if env_name.starts_with("LD_") || env_name.starts_with("DYLD_") {
        return Some("it steers the dynamic linker");
    }
    match env_name {
        "PATH" | "CDPATH" | "EXECIGNORE" => Some("it decides which programs are found"),
        "BASH_ENV" | "ENV" | "IFS" | "SHELLOPTS" | "BASHOPTS" | "PS4" | "PROMPT_COMMAND"
        | "GLOBIGNORE" => Some("it steers the shell that runs the command"),
        "PYTHONPATH" | "PYTHONHOME" | "PYTHONSTARTUP" | "PYTHONINSPECT" | "PERL5LIB"
        | "PERL5OPT" | "PERLLIB" | "RUBYLIB" | "RUBYOPT" | "NODE_OPTIONS" | "NODE_PATH"
        | "JAVA_TOOL_OPTIONS" | "_JAVA_OPTIONS" | "JDK_JAVA_OPTIONS" | "R_PROFILE"
        | "R_ENVIRON" | "GCONV_PATH" | "GLIBC_TUNABLES" => {
            Some("it decides what an interpreter or library loads")
        }
        _ => None,
    }
}

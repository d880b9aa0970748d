//! `file_system_configurations` and `context_manager_configuration`: which file systems a demand
//! may use, and how its inputs, outputs and leftovers are treated.
//!
//! The reference's shapes (`handlers/demand/model.py`). Every field stays optional here: a site's
//! own configuration lies under the request's, key by key, and the reference's defaults under
//! both.

use serde_json::Value;

use super::{
    fault::{Code, Pointer},
    parameters_read::read_s3_path,
    reader::{self, Fields, Found},
    s3::S3Path,
};

/// A volume that may be used. Empty texts say nothing, as in the reference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileSystemConfiguration {
    /// Id, ARN or name of the file system.
    pub file_system: Option<String>,
    /// Id, ARN or name of the access point.
    pub access_point: Option<String>,
    /// Where it is mounted in the container.
    pub container_path: Option<String>,
}

/// Candidates for each role; one is picked for each demand. `None`: nothing said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileSystemConfigurations {
    /// For what demands share; read only.
    pub shared: Option<Candidates>,
    /// For working directories.
    pub scratch: Option<Candidates>,
    /// For temporary files; empty: below the scratch volume.
    pub tmp: Option<Candidates>,
}

/// The candidates of one role, and where each was said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidates {
    /// The candidates.
    pub configurations: Vec<FileSystemConfiguration>,
    pub(crate) places: Vec<Pointer>,
}

impl FileSystemConfigurations {
    pub(crate) fn read(value: &Value, at: Pointer, found: &mut Found) -> Self {
        let Some(fields) = Fields::read(value, at, found) else { return Self::default() };
        let mut role = |name, needed| {
            let (at, value) = fields.get(name)?;
            let candidates = Candidates::read(value, &at, found);
            if needed && candidates.configurations.is_empty() {
                let detail = format!("at least one {name} file system is needed");
                found.push(at.fault(Code::InvalidValue, detail));
            }
            Some(candidates)
        };
        let read = Self {
            shared: role("shared", true),
            scratch: role("scratch", true),
            tmp: role("tmp", false),
        };
        if let Some((at, value)) = fields.get("selection_strategy") {
            reader::word(value, &at, &[("RANDOM", ())], found);
        }
        read
    }

    /// These, and `defaults` where these say nothing.
    #[must_use]
    pub fn over<'a>(&'a self, defaults: &'a Self) -> [Option<&'a Candidates>; 3] {
        [
            self.shared.as_ref().or(defaults.shared.as_ref()),
            self.scratch.as_ref().or(defaults.scratch.as_ref()),
            self.tmp.as_ref().or(defaults.tmp.as_ref()),
        ]
    }
}

impl Candidates {
    /// A list, a single one (its former shape), or `null` for none.
    fn read(value: &Value, at: &Pointer, found: &mut Found) -> Self {
        let items: Vec<(Pointer, &Value)> = match value {
            Value::Null => Vec::new(),
            Value::Array(items) => {
                items.iter().enumerate().map(|(index, item)| (at.index(index), item)).collect()
            }
            one => vec![(at.clone(), one)],
        };
        let mut candidates = Self::default();
        for (place, item) in items {
            let Some(fields) = Fields::read(item, place.clone(), found) else { continue };
            candidates.configurations.push(FileSystemConfiguration {
                file_system: fields.optional_string("file_system", found),
                access_point: fields.optional_string("access_point", found),
                container_path: fields.optional_string("container_path", found),
            });
            candidates.places.push(place);
        }
        candidates
    }
}

/// When environment variables reach the command through a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvFileWriteMode {
    /// Never.
    Never,
    /// Whenever something can write the file.
    Always,
    /// When they are too large to be passed directly.
    IfRequired,
}

/// How one direction of data is transferred.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataSyncConfiguration {
    /// Where the requests of large transfers are kept.
    pub temporary_request_payload_path: Option<S3Path>,
    /// Whether to transfer what is there already.
    pub force: Option<bool>,
    /// Whether equal sizes are enough to skip.
    pub size_only: Option<bool>,
}

/// How inputs, outputs and leftovers are treated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContextConfiguration {
    /// Whether inputs are brought to the working directory instead of the shared volume.
    pub isolate_inputs: Option<bool>,
    /// Whether inputs are removed afterwards.
    pub cleanup_inputs: Option<bool>,
    /// Whether the working directory is removed afterwards.
    pub cleanup_working_dir: Option<bool>,
    /// When variables go through a file.
    pub env_file_write_mode: Option<EnvFileWriteMode>,
    /// Inputs.
    pub input_data_sync_configuration: DataSyncConfiguration,
    /// Outputs.
    pub output_data_sync_configuration: DataSyncConfiguration,
}

impl DataSyncConfiguration {
    fn read(fields: &Fields<'_>, name: &str, found: &mut Found) -> Self {
        let Some((at, value)) = fields.get(name) else { return Self::default() };
        let Some(fields) = Fields::read(value, at, found) else { return Self::default() };
        Self {
            temporary_request_payload_path: read_s3_path(
                &fields,
                "temporary_request_payload_path",
                found,
            ),
            force: fields.optional_bool("force", found),
            size_only: fields.optional_bool("size_only", found),
        }
    }

    fn over(&self, defaults: &Self) -> Self {
        let path = &self.temporary_request_payload_path;
        Self {
            temporary_request_payload_path: path
                .clone()
                .or_else(|| defaults.temporary_request_payload_path.clone()),
            force: self.force.or(defaults.force),
            size_only: self.size_only.or(defaults.size_only),
        }
    }
}

impl ContextConfiguration {
    pub(crate) fn read(value: &Value, at: Pointer, found: &mut Found) -> Self {
        const MODES: [(&str, EnvFileWriteMode); 3] = [
            ("NEVER", EnvFileWriteMode::Never),
            ("ALWAYS", EnvFileWriteMode::Always),
            ("IF_REQUIRED", EnvFileWriteMode::IfRequired),
        ];
        let Some(fields) = Fields::read(value, at, found) else { return Self::default() };
        Self {
            isolate_inputs: fields.optional_bool("isolate_inputs", found),
            cleanup_inputs: fields.optional_bool("cleanup_inputs", found),
            cleanup_working_dir: fields.optional_bool("cleanup_working_dir", found),
            env_file_write_mode: fields
                .get("env_file_write_mode")
                .and_then(|(place, value)| reader::word(value, &place, &MODES, found)),
            input_data_sync_configuration: DataSyncConfiguration::read(
                &fields,
                "input_data_sync_configuration",
                found,
            ),
            output_data_sync_configuration: DataSyncConfiguration::read(
                &fields,
                "output_data_sync_configuration",
                found,
            ),
        }
    }

    /// These, and `defaults` where these say nothing.
    #[must_use]
    pub fn over(&self, defaults: &Self) -> Self {
        Self {
            isolate_inputs: self.isolate_inputs.or(defaults.isolate_inputs),
            cleanup_inputs: self.cleanup_inputs.or(defaults.cleanup_inputs),
            cleanup_working_dir: self.cleanup_working_dir.or(defaults.cleanup_working_dir),
            env_file_write_mode: self.env_file_write_mode.or(defaults.env_file_write_mode),
            input_data_sync_configuration: self
                .input_data_sync_configuration
                .over(&defaults.input_data_sync_configuration),
            output_data_sync_configuration: self
                .output_data_sync_configuration
                .over(&defaults.output_data_sync_configuration),
        }
    }
}

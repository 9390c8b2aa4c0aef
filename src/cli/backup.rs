//! `carillon backup` and `carillon restore`: everything of a server in one file, and back.

use super::{
    Exit, Failure,
    client::{CallError, Server},
    print,
    progress::{Progress, Unit, amount},
    runtime,
};
use crate::cluster::{self, Header, RestoreError};
use carillon_storage::{SnapshotError, snapshot};
use clap::Args;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};
use std::path::{Path, PathBuf};

const PATH: &str = "/api/v1/backup";

#[derive(Args, Debug)]
pub(super) struct Backup {
    /// The file to make. It holds everything of every tenant: keep it as safe as the server.
    file: PathBuf,
    #[command(flatten)]
    server: Server,
    /// Copy this directory of a stopped server instead of asking a running one.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct Restore {
    /// A file that `carillon backup` made.
    file: PathBuf,
    /// The directory to make; it must not be there, or be empty.
    #[arg(long, value_name = "DIR", default_value = "./carillon-data")]
    data_dir: PathBuf,
    /// The id of the node that will run on it (server.node_id) [default: that of the node which made the backup].
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    node_id: Option<u64>,
}

pub(super) fn back_up(arguments: &Backup) -> Result<(), Failure> {
    let file = &arguments.file;
    runtime()?.block_on(async {
        let copy = async {
            match &arguments.data_dir {
                Some(dir) => offline(dir, file).await,
                None => online(&arguments.server, file).await,
            }
        };
        // Dropping the copy removes what it has written so far.
        tokio::select! {
            done = copy => done,
            _ = tokio::signal::ctrl_c() => Err(Failure::new(Exit::Unavailable, "interrupted: there is no backup")),
        }
    })
}

/// Receives the file from a running server and checks every byte of it before it gets its name.
async fn online(server: &Server, file: &Path) -> Result<(), Failure> {
    let mut receiver = snapshot::receive_at(file).map_err(|error| written(&error))?;
    let mut connection = server.connection()?;
    let url = connection.url(PATH);
    let response = connection.post(PATH, Bytes::new()).await.map_err(|error| error.failure(&url))?;
    let mut body = response.into_body();
    let mut progress = Progress::new("backup", Unit::Bytes, body.size_hint().exact().unwrap_or(0));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| CallError::Broken(format!("the backup broke off: {error}")).failure(&url))?;
        let Ok(piece) = frame.into_data() else { continue };
        receiver.write(&piece).map_err(|error| written(&error))?;
        progress.at(receiver.bytes());
    }
    progress.clear();
    let made = tokio::task::spawn_blocking(move || receiver.finish()).await;
    let made = made.map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    let made = made.map_err(|error| written(&error))?;
    let header = Header::read(&made).map_err(|error| Failure::new(Exit::Data, error.to_string()))?;
    tell(&header, &made);
    Ok(())
}

async fn offline(dir: &Path, file: &Path) -> Result<(), Failure> {
    let made = cluster::back_up_directory(dir, file).await.map_err(|error| offline_failure(&error))?;
    tell(&made.0, &made.1);
    Ok(())
}

/// Why a stopped node's directory is not copied.
pub(super) fn offline_failure(error: &cluster::OfflineError) -> Failure {
    let exit = match error {
        error if error.is_damage() => Exit::Data,
        error if error.is_in_use() => Exit::Unavailable,
        cluster::OfflineError::NoData(_) | cluster::OfflineError::NotAlone(_) => Exit::Usage,
        cluster::OfflineError::Write(cluster::BuildError::Snapshot(error)) => written(error).exit,
        _ => Exit::Internal,
    };
    let hint = if error.is_in_use() { "; a running server is backed up without --data-dir" } else { "" };
    Failure::new(exit, format!("{error}{hint}"))
}

/// Why no directory is made of the backup `file`.
pub(super) fn restore_failure(error: &RestoreError, file: &Path) -> Failure {
    let exit = match error {
        error if error.is_bad_data() => Exit::Data,
        RestoreError::Staging(_) => Exit::Usage,
        // The backup itself is not there, or may not be read.
        RestoreError::Snapshot(SnapshotError::Io { path, .. }) if path == file => Exit::Usage,
        _ => Exit::Internal,
    };
    Failure::new(exit, format!("nothing was restored: {error}"))
}

fn written(error: &SnapshotError) -> Failure {
    let exit = match error {
        SnapshotError::Exists(_) => Exit::Usage,
        SnapshotError::Io { .. } => Exit::Internal,
        _ => Exit::Data,
    };
    Failure::new(exit, error.to_string())
}

fn tell(header: &Header, file: &snapshot::SnapshotFile) {
    print(&format!(
        "{}: {} records, {}, log position {} of history {}, as of {}; every byte was read back",
        file.path.display(),
        amount(Unit::Records, header.records as f64),
        amount(Unit::Bytes, file.bytes as f64),
        header.log_index,
        header.history,
        header.created_at,
    ));
}

pub(super) fn restore(arguments: &Restore) -> Result<(), Failure> {
    let Restore { file, data_dir, node_id } = arguments;
    let header = cluster::restore(file, data_dir, *node_id).map_err(|error| restore_failure(&error, file))?;
    print(&format!(
        "{} holds what the backup does: {} records as of {}. Start the server on it: carillon serve --data-dir {}",
        data_dir.display(),
        amount(Unit::Records, header.records as f64),
        header.created_at,
        data_dir.display(),
    ));
    Ok(())
}

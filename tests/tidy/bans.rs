//! Names that must not appear in some places: what keeps the middle pure, and each library behind one door.

use super::source::Source;

/// Names, where they must not be, and why.
struct Ban {
    /// Paths; what lies below one is meant, too. A single word is also found as a keyword or a macro.
    names: &'static [&'static str],
    /// Beginnings of the paths of files that the ban is for.
    within: &'static [&'static str],
    /// Beginnings of the paths of files that it is not for, each with a reason.
    except: &'static [(&'static str, &'static str)],
    why: &'static str,
}

const EVERYWHERE: &[&str] = &["src/", "storage/src/", "bench/src/", "examples/"];

/// Calls that change something on a disk.
const WRITES: &[&str] = &[
    "std::fs::write",
    "std::fs::rename",
    "std::fs::copy",
    "std::fs::hard_link",
    "std::fs::remove_file",
    "std::fs::remove_dir",
    "std::fs::remove_dir_all",
    "std::fs::create_dir",
    "std::fs::create_dir_all",
    "std::fs::set_permissions",
    "std::fs::OpenOptions",
    "std::fs::DirBuilder",
    "std::fs::File::create",
    "std::fs::File::create_new",
    "std::fs::File::options",
    "std::os::unix::fs::symlink",
    "tokio::fs",
    "rustix::fs",
];

const BANS: &[Ban] = &[
    Ban {
        names: &[
            "std::net::TcpStream",
            "std::net::TcpListener",
            "std::net::UdpSocket",
            "std::fs",
            "std::thread",
            "std::time::Instant",
            "crate::wall_clock",
            "tokio",
            "async",
            "await",
        ],
        within: &["src/protocol/", "src/session/state.rs", "src/auth/"],
        except: &[],
        why: "it is pure: no I/O, no clock, no async",
    },
    Ban {
        names: &["std::time::SystemTime"],
        within: &["src/", "storage/src/"],
        except: &[("src/wall_clock.rs", "the one place that reads it")],
        why: "only `wall_clock` reads the wall clock",
    },
    Ban {
        names: &["openraft"],
        within: EVERYWHERE,
        except: &[("src/cluster/", "it is the house of Raft")],
        why: "only `cluster` names openraft",
    },
    Ban {
        names: &["tokio", "async", "await", "crate::wall_clock"],
        within: &["src/records/"],
        except: &[
            ("src/records/handle.rs", "the handle by which others wait for the log; stamps what is proposed"),
            ("src/records/proposer.rs", "the channel to the log"),
            ("src/records/retention.rs", "a clockwork that proposes; it decides nothing"),
            ("src/records/ended.rs", "a clockwork that proposes; it decides nothing"),
            ("src/records/progress.rs", "by which others wait for the log"),
            ("src/records/barrier.rs", "by which others wait until nothing that was answered is missing"),
        ],
        why: "the state machine is a function over values",
    },
    Ban {
        names: &["sled"],
        within: EVERYWHERE,
        except: &[("storage/src/", "it is the house of disks")],
        why: "only `storage` names sled",
    },
    Ban {
        names: WRITES,
        within: &["src/"],
        except: &[("src/cluster/node/open.rs", "makes the data directory, before storage opens it")],
        why: "only `storage` writes files",
    },
    Ban {
        names: &["bincode"],
        within: EVERYWHERE,
        except: &[("storage/src/codec.rs", "the one codec: a version byte, a limit")],
        why: "only the codec names bincode",
    },
    Ban {
        names: &[
            "tokio::sync::mpsc::unbounded_channel",
            "tokio::sync::mpsc::UnboundedSender",
            "std::sync::mpsc::channel",
            "futures_channel::mpsc::unbounded",
            "crossbeam_channel::unbounded",
        ],
        within: EVERYWHERE,
        except: &[],
        why: "no channel without a bound",
    },
    Ban { names: &["unsafe"], within: EVERYWHERE, except: &[], why: "no unsafe code" },
    Ban {
        names: &["todo", "dbg", "unimplemented"],
        within: EVERYWHERE,
        except: &[],
        why: "nothing is left unfinished",
    },
];

/// What the sources name that they must not.
pub fn complaints(sources: &[Source]) -> Vec<String> {
    let mut said = Vec::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        for ban in BANS.iter().filter(|ban| ban.is_for(&source.path)) {
            for path in source.paths() {
                if ban.names.iter().any(|name| is_or_lies_below(&path.text, name)) {
                    said.push(format!("{}:{} names {}: {}", source.path, path.line, path.text, ban.why));
                }
            }
        }
        said.extend(unwraps(source));
    }
    said
}

impl Ban {
    fn is_for(&self, path: &str) -> bool {
        let begins = |beginning: &&str| path.starts_with(*beginning);
        self.within.iter().any(begins) && !self.except.iter().any(|(beginning, _)| begins(beginning))
    }
}

fn is_or_lies_below(path: &str, name: &str) -> bool {
    path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn unwraps(source: &Source) -> Vec<String> {
    let words = source
        .tokens
        .windows(3)
        .filter(|window| window.iter().map(|token| token.text.as_str()).collect::<Vec<_>>() == [".", "unwrap", "("]);
    words.map(|window| format!("{}:{} panics by unwrap(): answer an error", source.path, window[1].line)).collect()
}

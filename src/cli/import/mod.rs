//! `carillon import`: users, notifications and presence out of Django's `dumpdata`, into a running server.
//!
//! The file is read twice: the first time everything is checked and nothing sent. The server knows what it has, so an
//! import that was interrupted, or that is repeated, goes on where something is missing.

mod django;
mod dump;
mod send;

use super::{
    Exit, Failure,
    client::Server,
    complain, print,
    progress::{Progress, Unit, amount},
};
use clap::Args;
use django::{Kind, Reading, Row};
use dump::{Format, Item, ReadError};
use send::{Place, Sender};
use std::{collections::BTreeMap, path::PathBuf};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// What `manage.py dumpdata` wrote; other models in it are skipped.
    file: PathBuf,
    #[command(flatten)]
    server: Server,
    /// json: one array; jsonl: one object a line [default: by the first character].
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// The model of users, like accounts.user [default: any whose name is user].
    #[arg(long, value_name = "APP.MODEL", value_parser = model)]
    user_model: Option<String>,
    /// The model of notifications [default: any whose name is notification].
    #[arg(long, value_name = "APP.MODEL", value_parser = model)]
    notification_model: Option<String>,
    /// The model of presence [default: any whose name is userpresence or presence].
    #[arg(long, value_name = "APP.MODEL", value_parser = model)]
    presence_model: Option<String>,
    /// What a level of the app is called here, like danger=error; may stand several times.
    #[arg(long, value_name = "THEIRS=OURS", value_parser = level)]
    level: Vec<(String, String)>,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Leave bad records out instead of refusing the file.
    #[arg(long)]
    skip_bad: bool,
}

fn model(text: &str) -> Result<String, String> {
    match text.split_once('.') {
        Some((app, name)) if !app.is_empty() && !name.is_empty() => Ok(text.to_ascii_lowercase()),
        _ => Err("write the app's label and the model's name, like accounts.user".into()),
    }
}

fn level(text: &str) -> Result<(String, String), String> {
    let known = crate::protocol::event::LEVELS;
    match text.split_once('=') {
        Some((theirs, ours)) if known.contains(&ours) => Ok((theirs.to_owned(), ours.to_owned())),
        _ => Err(format!("write THEIRS=OURS, where OURS is one of {}", known.join(", "))),
    }
}

/// What the first reading found.
#[derive(Default)]
struct Survey {
    records: u64,
    /// Records and bad ones, by kind and model.
    taken: BTreeMap<(Kind, String), (u64, u64)>,
    skipped: BTreeMap<String, u64>,
    /// That were no records at all.
    shapeless: u64,
    highest_key: u64,
}

impl Survey {
    fn bad(&self) -> u64 {
        self.shapeless + self.taken.values().map(|(_, bad)| bad).sum::<u64>()
    }

    fn good(&self) -> u64 {
        self.taken.values().map(|(all, bad)| all - bad).sum()
    }

    fn report(&self) -> String {
        let mut lines = Vec::new();
        for ((kind, model), (all, bad)) in &self.taken {
            let bad = if *bad == 0 { String::new() } else { format!(", {} of them bad", grouped(*bad)) };
            lines.push(format!("{:<14} {model}: {}{bad}", kind.name(), grouped(*all)));
        }
        for (model, count) in &self.skipped {
            lines.push(format!("{:<14} {model}: {}", "skipped", grouped(*count)));
        }
        lines.join("\n")
    }
}

fn grouped(number: u64) -> String {
    amount(Unit::Records, number as f64)
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { user_model, notification_model, presence_model, .. } = arguments;
    let reading = Reading {
        models: [user_model.clone(), notification_model.clone(), presence_model.clone()],
        levels: arguments.level.clone(),
    };
    let survey = survey(arguments, &reading)?;
    print(&survey.report());
    check(&survey, arguments)?;
    if arguments.dry_run {
        print(&format!("dry run: {} records would be sent", grouped(survey.good())));
        return Ok(());
    }
    let mut sender = Sender::new(&arguments.server, (survey.good(), survey.highest_key))?;
    let done = each(arguments, |item| {
        let Ok(row) = Row::parse(item.text) else { return Ok(()) };
        let Some(kind) = reading.kind_of(&row.model) else { return Ok(()) };
        // What is bad was reported the first time.
        let Ok(record) = reading.record(kind, &row) else { return Ok(()) };
        sender.push((kind, &record), Place { index: item.index, what: format!("{} {}", row.model, row.pk) })
    });
    done.and_then(|()| sender.finish()).map_err(|failure| {
        let message = format!(
            "{} ({} of {} records are there; the same command goes on)",
            failure.message,
            grouped(sender.settled()),
            grouped(survey.good())
        );
        Failure::new(failure.exit, message)
    })?;
    print(&sender.report());
    Ok(())
}

/// Reads the file and shows each record.
fn each(arguments: &Arguments, show: impl FnMut(Item<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
    dump::read(&arguments.file, arguments.format, show).map_err(|error| match error {
        ReadError::Stopped(failure) => failure,
        ReadError::File(what) => Failure::new(Exit::Data, what),
    })
}

/// The first reading: counts, and names every bad record.
fn survey(arguments: &Arguments, reading: &Reading) -> Result<Survey, Failure> {
    let bytes = std::fs::metadata(&arguments.file).map_or(0, |file| file.len());
    let mut progress = Progress::new("check", Unit::Bytes, bytes);
    let mut survey = Survey::default();
    each(arguments, |item| {
        survey.records += 1;
        progress.at(item.read);
        let complain = |what: &str, why: String| {
            progress.clear();
            complain(&format!("record {}{what}: {why}", item.index));
        };
        let row = match Row::parse(item.text) {
            Ok(row) => row,
            Err(why) => {
                survey.shapeless += 1;
                complain("", why);
                return Ok(());
            }
        };
        let Some(kind) = reading.kind_of(&row.model) else {
            *survey.skipped.entry(row.model.into_owned()).or_default() += 1;
            return Ok(());
        };
        let (all, bad) = survey.taken.entry((kind, row.model.to_string())).or_default();
        *all += 1;
        match reading.record(kind, &row) {
            Ok(record) => survey.highest_key = survey.highest_key.max(send::key_of(&record)),
            Err(why) => {
                *bad += 1;
                complain(&format!(" ({} {})", row.model, row.pk), why);
            }
        }
        Ok(())
    })?;
    Ok(survey)
}

/// Whether to go on with what was found.
fn check(survey: &Survey, arguments: &Arguments) -> Result<(), Failure> {
    let refuse = |what: String| Err(Failure::new(Exit::Data, format!("nothing was imported: {what}")));
    for kind in Kind::ALL {
        let models: Vec<_> = survey.taken.keys().filter(|(of, _)| *of == kind).map(|(_, model)| &**model).collect();
        if models.len() > 1 {
            return refuse(format!(
                "{} could be {}: say which with {}",
                kind.name(),
                models.join(" or "),
                kind.option()
            ));
        }
    }
    if survey.taken.is_empty() && survey.shapeless == 0 {
        let options = Kind::ALL.map(Kind::option).join(", ");
        return refuse(format!("no model of the file was recognised; name yours with {options}"));
    }
    if survey.bad() > 0 && !arguments.skip_bad {
        let (bad, all) = (grouped(survey.bad()), grouped(survey.records));
        return refuse(format!("{bad} of {all} records are bad; mend them, or leave them out with --skip-bad"));
    }
    Ok(())
}

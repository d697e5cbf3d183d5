//! The file system: FSCREATE, FSWRITE, FSREAD, FSDEL, FSFLSIZE, FSLS, FSMEM, FSMKDIR, FSRMDIR.
//! Files survive a restart. Knows names and sizes, and never looks into a file.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Answer, Entry, EntryEnds, FILE_TOO_LARGE, Handler, Modem, NO_SUCH_FILE, Outcome, Purpose,
    Quirk, UNKNOWN, set,
};
use crate::command::{Arguments, Form};

pub(super) const COMMANDS: &[(&str, Handler)] = &[
    ("+FSCREATE", create),
    ("+FSWRITE", write),
    ("+FSREAD", read),
    ("+FSDEL", delete),
    ("+FSFLSIZE", size),
    ("+FSLS", list),
    ("+FSMEM", memory),
    ("+FSMKDIR", make_directory),
    ("+FSRMDIR", remove_directory),
];

/// Bytes of a file name.
const NAME_MAX: usize = 64;

/// Bytes of one FSWRITE or FSREAD.
const CHUNK_MAX: u32 = 10_240;

/// Names begin at the root: `ca.crt` and `/ca.crt` are the same file.
#[derive(Default)]
pub(super) struct State {
    files: BTreeMap<String, Vec<u8>>,
    directories: BTreeSet<String>,
}

impl State {
    /// The content of a file.
    pub fn get(&self, name: &str) -> Option<&Vec<u8>> {
        self.files.get(&rooted(name))
    }

    /// What was entered goes into a file that exists.
    pub fn write(&mut self, name: &str, data: Vec<u8>, append: bool) -> Outcome {
        let file = self.files.get_mut(name).ok_or(Answer::Error)?;
        if !append {
            file.clear();
        }
        file.extend(data);
        Ok(Answer::Ok)
    }

    fn used(&self) -> usize {
        self.files.values().map(Vec::len).sum()
    }
}

fn rooted(name: &str) -> String {
    format!("/{}", name.trim_matches('/'))
}

fn name(arguments: &Arguments) -> Result<String, Answer> {
    let name = arguments.word(0).and_then(|name| std::str::from_utf8(name).ok());
    let name = name.filter(|name| (1..=NAME_MAX).contains(&name.len()));
    name.map(rooted).ok_or(Answer::Error)
}

/// The arguments of a set form, so many of them. What the test forms print is not documented.
fn exactly(form: &Form, count: usize) -> Result<&Arguments, Answer> {
    let arguments = set(form, Vec::new)?;
    if arguments.len() == count { Ok(arguments) } else { Err(Answer::Error) }
}

impl Modem {
    fn missing(&self) -> Answer {
        let other = self.config.quirks.has(Quirk::MissingFile100);
        Answer::Cme(if other { UNKNOWN } else { NO_SUCH_FILE })
    }
}

/// A file that exists stays as it is; what a real module does then is not documented.
fn create(modem: &mut Modem, form: &Form) -> Outcome {
    let name = name(exactly(form, 1)?)?;
    modem.files.files.entry(name).or_default();
    Ok(Answer::Ok)
}

fn write(modem: &mut Modem, form: &Form) -> Outcome {
    let arguments = exactly(form, 4)?;
    let name = name(arguments)?;
    let append = arguments.number(1, 0..=1).ok_or(Answer::Error)? == 1;
    let size = arguments.number(2, 1..=CHUNK_MAX).ok_or(Answer::Error)? as usize;
    let seconds = arguments.number(3, 1..=u32::MAX).ok_or(Answer::Error)?;
    let Some(file) = modem.files.files.get(&name) else {
        return Err(modem.missing());
    };
    let replaced = if append { 0 } else { file.len() };
    if modem.files.used() - replaced + size > modem.traits.file_space {
        return Err(Answer::Cme(FILE_TOO_LARGE));
    }
    Ok(Answer::Prompt(Entry {
        need: Some(size),
        data: Vec::new(),
        purpose: Purpose::File { name, append },
        ends: EntryEnds::Deadline(u64::from(seconds) * 1000),
    }))
}

/// Raw data, directly followed by the line end of OK (SEEN).
fn read(modem: &mut Modem, form: &Form) -> Outcome {
    let arguments = exactly(form, 4)?;
    let name = name(arguments)?;
    let from_position = arguments.number(1, 0..=1).ok_or(Answer::Error)? == 1;
    let size = arguments.number(2, 1..=CHUNK_MAX).ok_or(Answer::Error)? as usize;
    let position = arguments.number(3, 0..=u32::MAX).ok_or(Answer::Error)? as usize;
    let Some(file) = modem.files.files.get(&name) else {
        return Err(modem.missing());
    };
    let start = if from_position { position.min(file.len()) } else { 0 };
    let end = (start + size).min(file.len());
    Ok(Answer::Data(file[start..end].to_vec()))
}

fn delete(modem: &mut Modem, form: &Form) -> Outcome {
    let name = name(exactly(form, 1)?)?;
    match modem.files.files.remove(&name) {
        Some(_) => Ok(Answer::Ok),
        None => Err(modem.missing()),
    }
}

fn size(modem: &mut Modem, form: &Form) -> Outcome {
    let name = name(exactly(form, 1)?)?;
    match modem.files.files.get(&name) {
        Some(file) => Ok(Answer::Lines(vec![format!("+FSFLSIZE: {}", file.len())])),
        None => Err(modem.missing()),
    }
}

/// Bare names; directories end in a backslash (SEEN).
fn list(modem: &mut Modem, form: &Form) -> Outcome {
    let arguments = exactly(form, 1)?;
    let path = arguments.text(0).ok_or(Answer::Error)?;
    let within = format!("{}/", rooted(path).trim_end_matches('/'));
    let child = |name: &String| {
        name.strip_prefix(&within).filter(|name| !name.contains('/')).map(str::to_owned)
    };
    let files = modem.files.files.keys().filter_map(child);
    let directories = modem.files.directories.iter().filter_map(child);
    let lines: Vec<String> = files.chain(directories.map(|name| name + "\\")).collect();
    if lines.is_empty() && modem.config.quirks.has(Quirk::EmptyDirectoryError) {
        return Err(Answer::Error);
    }
    Ok(Answer::Lines(lines))
}

/// No OK follows (SEEN).
fn memory(modem: &mut Modem, form: &Form) -> Outcome {
    let free = modem.traits.file_space.saturating_sub(modem.files.used());
    match form {
        Form::Execute => Ok(Answer::Instead(format!("+FSMEM: {free} bytes"))),
        Form::Test => Ok(Answer::Ok),
        _ => Err(Answer::Error),
    }
}

fn make_directory(modem: &mut Modem, form: &Form) -> Outcome {
    let name = name(exactly(form, 1)?)?;
    modem.files.directories.insert(name);
    Ok(Answer::Later(modem.config.delays.directory))
}

fn remove_directory(modem: &mut Modem, form: &Form) -> Outcome {
    let name = name(exactly(form, 1)?)?;
    let within = format!("{name}/");
    let files = &modem.files;
    let mut inside = files.files.keys().chain(&files.directories);
    let empty = !inside.any(|name| name.starts_with(&within));
    if empty && modem.files.directories.remove(&name) {
        Ok(Answer::Ok)
    } else {
        Err(modem.missing())
    }
}

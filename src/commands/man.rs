//! `fanfare man`: the manual's pages.

use std::path::PathBuf;
use std::{fs, io};

use clap::{Args, Command};
use clap_mangen::Man;

use super::{Exit, print};
use crate::streams::say;

/// Print the page of the manual, or write the pages of all commands into a folder.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ManArgs {
    /// The folder, which has to be there
    dir: Option<PathBuf>,
}

/// What the help says below the options.
const AFTER_HELP: &str = "\
Examples:
    fanfare man | man -l -
    fanfare man /usr/local/share/man/man1";

impl ManArgs {
    /// Does it, for this command line.
    pub(crate) fn run(&self, command: Command) -> Exit {
        let pages = match pages(command) {
            Ok(pages) => pages,
            Err(error) => {
                say(&error);
                return Exit::Refused;
            }
        };
        let Some(dir) = &self.dir else {
            let own = pages.into_iter().next();
            return print(&own.map(|(_, page)| page).unwrap_or_default());
        };
        for (name, page) in pages {
            let path = dir.join(name);
            if let Err(error) = fs::write(&path, page) {
                say(&format_args!("{}: {error}", path.display()));
                return Exit::Refused;
            }
        }
        Exit::Done
    }
}

/// The pages, each with the name of its file: that of the program, and then one for each command.
fn pages(command: Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let version = command.get_version().unwrap_or_default().to_owned();
    let subcommands: Vec<Command> = command.get_subcommands().cloned().collect();
    // Each page has a version, which is not to say that each command has the flag.
    let subcommands = (subcommands.into_iter()).map(|command| command.version(version.clone()));
    let all = std::iter::once(command).chain(subcommands);
    let rendered = all.map(|command| {
        let man = Man::new(command);
        let mut page = Vec::new();
        man.render(&mut page)?;
        Ok((man.get_filename(), page))
    });
    rendered.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::tests::{command, commands_and_flags};

    #[test]
    fn each_command_has_a_page_with_all_of_its_flags() {
        let pages = pages(command()).expect("they are made");
        let page = |name: &str| {
            let found = pages.iter().find(|(of, _)| of == name);
            let (_, page) = found.unwrap_or_else(|| panic!("no {name}"));
            // In a page a dash is escaped.
            String::from_utf8(page.clone())
                .expect("it is UTF-8")
                .replace("\\-", "-")
        };
        let own = page("fanfare.1");
        for (command, flags) in commands_and_flags() {
            assert!(own.contains(&format!("fanfare-{command}(1)")), "{command}");
            let page = page(&format!("fanfare-{command}.1"));
            for flag in flags {
                assert!(page.contains(&format!("--{flag}")), "{command} --{flag}");
            }
        }
        assert_eq!(pages.len(), 1 + commands_and_flags().len());
    }
}

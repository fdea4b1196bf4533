//! `fanfare completions`: what a shell needs to complete the command line.

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use super::{Exit, print};

/// Print a script that has a shell complete commands, options and their values.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// What the help says below the options.
const AFTER_HELP: &str = "\
Examples:
    fanfare completions bash > /etc/bash_completion.d/fanfare
    fanfare completions zsh > /usr/local/share/zsh/site-functions/_fanfare
    fanfare completions fish > ~/.config/fish/completions/fanfare.fish";

impl CompletionsArgs {
    /// Does it, for this command line.
    pub(crate) fn run(&self, command: Command) -> Exit {
        print(&script(self.shell, command))
    }
}

fn script(shell: Shell, mut command: Command) -> Vec<u8> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    generate(shell, &mut command, name, &mut script);
    script
}

#[cfg(test)]
mod tests {
    use std::process::Command as Process;

    use super::*;
    use crate::commands::tests::{command, commands_and_flags};

    fn text(shell: Shell) -> String {
        String::from_utf8(script(shell, command())).expect("it is UTF-8")
    }

    #[test]
    fn the_scripts_hold_every_command_and_every_flag() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = text(shell);
            for (command, flags) in commands_and_flags() {
                assert!(script.contains(&command), "{command} for {shell}");
                for flag in flags {
                    // fish says it without the dashes.
                    let flag = match shell {
                        Shell::Fish => format!("-l {flag}"),
                        _ => format!("--{flag}"),
                    };
                    assert!(script.contains(&flag), "{command} {flag} for {shell}");
                }
            }
        }
    }

    #[test]
    fn bash_completes_commands_and_flags_with_the_script() {
        let completed = |words: &str, nth: usize| {
            let script = format!(
                "{}\nCOMP_WORDS=({words}) COMP_CWORD={nth}\n\
                 _fanfare fanfare \"${{COMP_WORDS[{nth}]}}\" \"${{COMP_WORDS[{nth}-1]}}\"\n\
                 echo \"${{COMPREPLY[*]}}\"\n",
                text(Shell::Bash)
            );
            let output = Process::new("bash")
                .args(["--norc", "-c", &script])
                .output();
            let output = output.expect("bash runs");
            assert!(
                output.stderr.is_empty(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8(output.stdout).expect("it is UTF-8")
        };
        if Process::new("bash").arg("--version").output().is_err() {
            return;
        }
        assert_eq!(completed("fanfare se", 1), "serve\n");
        assert_eq!(completed("fanfare serve --retain-b", 2), "--retain-bytes\n");
        assert_eq!(completed("fanfare completions f", 2), "fish\n");
    }
}

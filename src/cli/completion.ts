/**
 * Completion: `owsla completion`: what makes a shell complete commands and flags of owsla.
 * From: commandLine.ts.  To: a script for the shell, which asks `owsla --get-yargs-completions`, a
 * question that yargs answers from the commands and flags themselves.
 * Bound: pure; the words of the script are a shell's.
 */
import type { Argv } from 'yargs';
import type { Arguments } from './commandParts.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

/** yargs writes its answer for the shell that SHELL names, which may be another one. */
const ASK = (shell: Shell) => `SHELL=${shell} owsla --get-yargs-completions`;

const SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: `# owsla in bash: put  eval "$(owsla completion bash)"  into ~/.bashrc
_owsla() {
  local IFS=$'\\n'
  local words=("\${COMP_WORDS[@]:0:COMP_CWORD+1}")
  COMPREPLY=($(compgen -W "$(${ASK('bash')} "\${words[@]}" 2>/dev/null)" -- "\${words[COMP_CWORD]}"))
}
complete -o bashdefault -o default -F _owsla owsla
`,
  zsh: `#compdef owsla
# owsla in zsh: put  eval "$(owsla completion zsh)"  into ~/.zshrc, after compinit
_owsla() {
  local -a found
  found=(\${(f)"$(${ASK('zsh')} "\${(@)words[1,CURRENT]}" 2>/dev/null)"})
  if (( \${#found} )); then _describe owsla found; else _default; fi
}
compdef _owsla owsla
`,
  fish: `# owsla in fish: put  owsla completion fish | source  into ~/.config/fish/config.fish
complete -c owsla -a '(${ASK('fish')} (commandline -opc) (commandline -ct) 2>/dev/null)'
`,
};

/** For yargs. */
export function completionCommand(write: (text: string) => void) {
  return {
    command: 'completion <shell>',
    describe: 'print a script that completes commands and flags in your shell',
    builder: (y: Argv) =>
      y
        .positional('shell', { type: 'string', choices: SHELLS, describe: 'your shell' })
        .epilog(
          'In ~/.bashrc or ~/.zshrc: eval "$(owsla completion bash)"; in config.fish: owsla completion fish | source',
        ),
    handler: ({ shell }: Arguments) => write(SCRIPTS[shell as Shell]),
  };
}

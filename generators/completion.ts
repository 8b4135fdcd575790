import type { Command } from 'commander'
import { UsageError } from './host/errors.js'

/** The script with which a shell completes commands and flags. It is plain text: completing starts no process. */
export function completion(shell: string, program: Command): string {
  const write = { bash, zsh, fish }[shell]
  if (write) return write(wordsOf(program))
  throw new UsageError({
    code: 'SHELL_UNKNOWN',
    message: `There is no completion for "${shell}".`,
    remedy: 'Name one of these: bash, zsh, fish',
  })
}

interface Word {
  name: string
  description: string
  flags: { name: string; description: string }[]
}

function wordsOf(program: Command): Word[] {
  return program.commands.map((command) => ({
    name: command.name(),
    description: command.description(),
    flags: [...command.options.map(({ long, description }) => ({ name: long!, description })), HELP],
  }))
}

const HELP = { name: '--help', description: 'show the help of the command' }

function bash(words: Word[]): string {
  const cases = words.map(({ name, flags }) => `    ${name}) words='${flags.map((flag) => flag.name).join(' ')}' ;;`)
  return `_async_gen() {
  local words
  case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then words='${words.map(({ name }) => name).join(' ')}'; fi
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _async_gen async-gen`
}

function zsh(words: Word[]): string {
  const commands = words.map(({ name, description }) => `    '${name}:${quoted(description)}'`)
  const cases = words.map(({ name, flags }) => {
    const specs = flags.map((flag) => `'${flag.name}[${quoted(flag.description).replace(/[[\]]/g, '\\$&')}]'`)
    return `    ${name}) _arguments ${specs.join(' ')} '*:file:_files' ;;`
  })
  return `#compdef async-gen
_async_gen() {
  local -a commands=(
${commands.join('\n')}
  )
  if (( CURRENT == 2 )); then _describe command commands; return; fi
  case "$words[2]" in
${cases.join('\n')}
  esac
}
compdef _async_gen async-gen`
}

function fish(words: Word[]): string {
  const lines = words.flatMap(({ name, description, flags }) => [
    `complete -c async-gen -n __fish_use_subcommand -f -a ${name} -d '${quoted(description)}'`,
    ...flags.map(
      (flag) =>
        `complete -c async-gen -n '__fish_seen_subcommand_from ${name}' -l ${flag.name.slice(2)} -d '${quoted(flag.description)}'`,
    ),
  ])
  return lines.join('\n')
}

/** In a shell's single quotes. */
function quoted(text: string): string {
  return text.replaceAll("'", '’')
}

import type { Command } from 'commander'
import { deployKinds } from '../definitions/deploy.js'
import { GENERATORS } from '../definitions/generator.js'
import { UsageError } from '../host/errors.js'
import { templateNames } from '../pipeline/templates.js'

const SHELLS = ['bash', 'zsh', 'fish']

/** The completion script of a shell, for commands, flags and their values. The shell starts no process to complete. */
export function completion(shell: string, program: Command): string {
  const write = { bash, zsh, fish }[shell]
  if (write) return write(wordsOf(program))
  throw new UsageError({
    code: 'SHELL_UNKNOWN',
    message: `Unknown shell "${shell}".`,
    remedy: `Choose one of these: ${SHELLS.join(', ')}`,
  })
}

interface CommandWord {
  name: string
  description: string
  /** The values of its first argument, if they are known. */
  values: readonly string[]
  flags: FlagWord[]
}

interface FlagWord {
  name: string
  description: string
  /** Whether a value follows: one of `choices`, or a path if `choices` is empty. */
  takesValue: boolean
  choices: readonly string[]
}

function wordsOf(program: Command): CommandWord[] {
  return program.commands.map((command) => ({
    name: command.name(),
    description: command.description(),
    values: valuesOf(command.name()),
    flags: [
      ...command.options.map(({ long, description, required, optional, argChoices = [] }) => ({
        name: long!,
        description,
        takesValue: required || optional,
        choices: argChoices,
      })),
      HELP,
    ],
  }))
}

function valuesOf(command: string): readonly string[] {
  switch (command) {
    case 'destroy':
      return GENERATORS
    case 'deploy':
      return deployKinds
    case 'eject':
      return templateNames()
    case 'completion':
      return SHELLS
    default:
      return []
  }
}

const HELP = { name: '--help', description: 'show the help of the command', takesValue: false, choices: [] }

function bash(words: CommandWord[]): string {
  const choices = words.flatMap(({ name, flags }) =>
    flags
      .filter((flag) => flag.takesValue)
      .map((flag) => `    '${name} ${flag.name}') words='${flag.choices.join(' ')}' ;;`),
  )
  const cases = words.map(
    ({ name, values, flags }) =>
      `      ${name}) words='${[...values, ...flags.map((flag) => flag.name)].join(' ')}' ;;`,
  )
  return `_async_gen() {
  local words
  case "\${COMP_WORDS[1]} \${COMP_WORDS[COMP_CWORD-1]}" in
${choices.join('\n')}
    *) case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
    esac ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then words='${words.map(({ name }) => name).join(' ')}'; fi
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _async_gen async-gen`
}

function zsh(words: CommandWord[]): string {
  const commands = words.map(({ name, description }) => `    '${name}:${quoted(description)}'`)
  const cases = words.map(({ name, values, flags }) => {
    const specs = flags.map(({ name: flag, description, takesValue, choices }) => {
      const value = choices.length > 0 ? `:value:(${choices.join(' ')})` : takesValue ? ':value:_files' : ''
      return `'${flag}[${quoted(description).replace(/[[\]]/g, '\\$&')}]${value}'`
    })
    const first = values.length > 0 ? [`'2:value:(${values.join(' ')})'`] : []
    return `    ${name}) _arguments ${[...specs, ...first].join(' ')} '*:file:_files' ;;`
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

function fish(words: CommandWord[]): string {
  const lines = words.flatMap(({ name, description, values, flags }) => {
    const within = `complete -c async-gen -n '__fish_seen_subcommand_from ${name}'`
    return [
      `complete -c async-gen -n __fish_use_subcommand -f -a ${name} -d '${quoted(description)}'`,
      ...(values.length > 0 ? [`${within} -f -a '${values.join(' ')}'`] : []),
      ...flags.map(({ name: flag, description: says, takesValue, choices }) => {
        const value = choices.length > 0 ? ` -x -a '${choices.join(' ')}'` : takesValue ? ' -r' : ''
        return `${within} -l ${flag.slice(2)}${value} -d '${quoted(says)}'`
      }),
    ]
  })
  return lines.join('\n')
}

/** For use inside a shell's single quotes. */
function quoted(text: string): string {
  return text.replaceAll("'", '’')
}

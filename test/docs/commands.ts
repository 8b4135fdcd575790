import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { REPOSITORY } from '../support/host.js'
import { pages } from './blocks.js'

export interface DocumentedCommand {
  /** Where it stands: `docs/generators.md:12`. */
  at: string
  program: 'async-gen' | 'async-gen-worker'
  args: string[]
}

/** The command lines of `async-gen` and `async-gen-worker` in code blocks, with a fence or indented. */
export function documentedCommands(): DocumentedCommand[] {
  return pages().flatMap((page) => {
    const lines = readFileSync(join(REPOSITORY, page), 'utf8').split('\n')
    let isFenced = false
    return lines.flatMap((line, index) => {
      if (line.startsWith('```')) isFenced = !isFenced
      // A sentence may begin with "async-gen".
      const commands = isFenced || line.startsWith('    ') ? commandsIn(line) : []
      return commands.map((command) => ({ at: `${page}:${index + 1}`, ...command }))
    })
  })
}

/** `npm install && npx async-gen attempt   # a comment` has one command. */
function commandsIn(line: string) {
  const [text = ''] = line.split(/\s#/)
  return text.split(/&&|\|/).flatMap((part) => {
    const match = /^\s*(?:\$ )?(?:npx )?(async-gen(?:-worker)?)(?: (.*))?$/.exec(part.trimEnd())
    if (!match) return []
    return [{ program: match[1] as DocumentedCommand['program'], args: (match[2] ?? '').split(/\s+/).filter(Boolean) }]
  })
}

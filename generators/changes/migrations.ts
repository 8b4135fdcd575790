import { join } from 'node:path/posix'
import { sameText } from '../host/files.js'
import type { Draft } from './draft.js'
import { hashOf } from './manifest.js'
import type { StagedMigration } from './stage.js'

/**
 * A migration is a fact: it may have run. One that was emitted is never emitted again, not even when its folder has
 * gone (squashed, most likely), and never changed.
 *
 * @param restore writes one whose folder has gone, as it was
 */
export function planMigration(draft: Draft, { name, text }: StagedMigration, now: Date, restore = false) {
  const { path, names } = draft.host.migrations
  const emitted = draft.manifest.migrations[name]?.folder ?? unrecorded(draft, name, text)
  const folder = emitted ?? migrationFolder(name, [...names, ...emittedFolders(draft)], now)
  const file = join(path, folder, 'migration.sql')
  const current = draft.read(file)
  draft.manifest.migrations[name] ??= { folder, hash: hashOf(text) }

  // LF everywhere: Prisma's checksum of a migration is over its bytes.
  const isWritten = !emitted || (restore && current === null)
  if (isWritten) draft.write(file, text, '\n')
  const kind = isWritten ? 'create' : current === null ? 'removed' : sameText(current, text) ? 'identical' : 'keep'
  const detail = { keep: 'migrations are never changed', removed: RESTORE }[kind as string]
  draft.changes.push({ kind, path: file, ...(detail && { detail }) })
}

const RESTORE = 'deleted; not written again. To restore it: npx async-gen upgrade --restore-migrations'

export function emittedFolders({ manifest }: Draft): string[] {
  return Object.values(manifest.migrations).map(({ folder }) => folder)
}

/** Our migration in a host whose manifest was lost: the same name, the same table, and no later one that drops it. */
function unrecorded(draft: Draft, name: string, text: string): string | undefined {
  const { path, names } = draft.host.migrations
  const sqlOf = (folder: string) => draft.read(join(path, folder, 'migration.sql')) ?? ''
  const table = firstTable(text)
  const found = names
    .filter((folder) => folder.replace(/^\d+_/, '') === name)
    .findLast((folder) => firstTable(sqlOf(folder)) === table)
  const dropped = found && table && names.some((folder) => folder > found && drops(sqlOf(folder), table))
  return dropped ? undefined : found
}

/** The first table that a migration creates or alters. */
function firstTable(sql: string): string | undefined {
  return /^(?:CREATE|ALTER) TABLE (?:IF (?:NOT )?EXISTS )?("[^"]+"|\S+)/im.exec(sql)?.[1]
}

function drops(sql: string, table: string): boolean {
  return new RegExp(`DROP TABLE (?:IF EXISTS )?${table.replaceAll('.', '\\.')}(?![\\w.])`, 'i').test(sql)
}

/**
 * What takes back migrations of ours, in the order in which they ran: the triggers, tables, functions and types that they create.
 * What they change of their own tables and functions goes with these.
 */
export function downMigration(ups: string[]): string {
  const up = ups.join('\n')
  const created = (kind: string) =>
    [...up.matchAll(new RegExp(`^CREATE ${kind} ("[^"]+")`, 'gm'))].map((match) => match[1]!)
  const tables = created('TABLE')
  // A table takes its own triggers along; those on other tables hold on to what they call.
  const triggers = [...up.matchAll(/^CREATE TRIGGER ("[^"]+")[^;]*?\sON ("[^\s(]+)/gm)]
    .filter((match) => !tables.includes(match[2]!))
    .map((match) => `TRIGGER ${match[1]} ON ${match[2]}`)
  return [
    ...triggers,
    ...tables.reverse().map((name) => `TABLE ${name}`),
    ...created('FUNCTION')
      .reverse()
      .map((name) => `FUNCTION ${name}`),
    ...created('TYPE').map((name) => `TYPE ${name}`),
  ]
    .map((what) => `DROP ${what};\n`)
    .join('')
}

/** `20261121093000_create_attempts`: now, or right after the host's last one if that is from the future. */
export function migrationFolder(name: string, existing: string[], now: Date): string {
  const time = now.toISOString().replace(/\D/g, '').slice(0, 14)
  const last = existing
    .map((folder) => /^\d{14}(?=_)/.exec(folder)?.[0] ?? '')
    .sort()
    .at(-1)
  return `${last && last >= time ? BigInt(last) + 1n : time}_${name}`
}

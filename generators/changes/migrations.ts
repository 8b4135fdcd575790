import { join } from 'node:path/posix'
import { sameText } from '../host/files.js'
import type { Draft } from './draft.js'
import { hashOf } from './manifest.js'
import type { StagedMigration } from './stage.js'

/**
 * Plans a migration. A database may have run it, so an emitted migration never changes. A deleted one (squashed, for example)
 * is not written again.
 *
 * @param restore write a deleted migration again
 */
export function planMigration(draft: Draft, { name, text }: StagedMigration, now: Date, restore = false) {
  const { path, names } = draft.host.migrations
  const emitted = draft.manifest.migrations[name]?.folder ?? unrecorded(draft, name, text)
  const folder = emitted ?? migrationFolder(name, [...names, ...emittedFolders(draft)], now)
  const file = join(path, folder, 'migration.sql')
  const current = draft.read(file)
  draft.manifest.migrations[name] ??= { folder, hash: hashOf(text) }

  // Always LF: Prisma's checksum of a migration depends on every byte.
  const isWritten = !emitted || (restore && current === null)
  if (isWritten) draft.write(file, text, '\n')
  const kind = isWritten ? 'create' : current === null ? 'removed' : sameText(current, text) ? 'identical' : 'keep'
  const detail = { keep: 'async-gen never changes a migration', removed: RESTORE }[kind as string]
  draft.changes.push({ kind, path: file, ...(detail && { detail }) })
}

const RESTORE = 'deleted, and not written again. To restore it: npx async-gen upgrade --restore-migrations'

export function emittedFolders({ manifest }: Draft): string[] {
  return Object.values(manifest.migrations).map(({ folder }) => folder)
}

/** Finds our migration if the manifest is lost: it has the same name and table, and no later migration drops the table. */
function unrecorded(draft: Draft, name: string, text: string): string | undefined {
  const { path, names } = draft.host.migrations
  const sqlOf = (folder: string) => draft.read(join(path, folder, 'migration.sql')) ?? ''
  const table = firstTable(text)
  const found = names
    .filter((folder) => folder.replace(/^\d+_/, '') === name)
    .findLast((folder) => firstTable(sqlOf(folder)) === table)
  return found && isDropped(text, names.filter((folder) => folder > found).map(sqlOf)) ? undefined : found
}

/** Whether one of the later migrations drops the table of a migration. */
export function isDropped(sql: string, later: string[]): boolean {
  const table = firstTable(sql)
  return table !== undefined && later.some((each) => drops(each, table))
}

/** The first table that a migration creates or alters. */
function firstTable(sql: string): string | undefined {
  return /^(?:CREATE|ALTER) TABLE (?:IF (?:NOT )?EXISTS )?("[^"]+"|\S+)/im.exec(sql)?.[1]
}

function drops(sql: string, table: string): boolean {
  return new RegExp(`DROP TABLE (?:IF EXISTS )?${table.replaceAll('.', '\\.')}(?![\\w.])`, 'i').test(sql)
}

/**
 * The SQL that drops the triggers, tables, functions and types of some of our migrations. Their other changes are to these
 * objects, and disappear with them.
 *
 * @param ups the migrations, in the order in which they ran
 */
export function downMigration(ups: string[]): string {
  const up = ups.join('\n')
  const created = (kind: string) =>
    [...up.matchAll(new RegExp(`^CREATE ${kind} ("[^"]+")`, 'gm'))].map((match) => match[1]!)
  const tables = created('TABLE')
  // DROP TABLE also drops the triggers of the table. Those on other tables depend on our functions, so they go first.
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

/** `20261121093000_create_attempts`: the current time, or one second after the host's last migration if that is later. */
export function migrationFolder(name: string, existing: string[], now: Date): string {
  const time = now.toISOString().replace(/\D/g, '').slice(0, 14)
  const last = existing
    .map((folder) => /^\d{14}(?=_)/.exec(folder)?.[0] ?? '')
    .sort()
    .at(-1)
  return `${last && last >= time ? BigInt(last) + 1n : time}_${name}`
}

import { join } from 'node:path/posix'
import { sameText } from '../host/files.js'
import type { Draft } from './draft.js'
import type { StagedMigration } from './stage.js'

/**
 * A migration is a fact: it may have run. One that was emitted is never emitted again, not even when its folder has
 * gone (squashed, most likely), and never changed.
 */
export function planMigration(draft: Draft, { name, text }: StagedMigration, now: Date) {
  const { path, names } = draft.host.migrations
  const emitted = draft.manifest.migrations[name] ?? unrecorded(draft, name, text)
  const folder = emitted ?? migrationFolder(name, names, now)
  const file = join(path, folder, 'migration.sql')
  const current = draft.read(file)
  draft.manifest.migrations[name] = folder

  // LF everywhere: Prisma's checksum of a migration is over its bytes.
  if (!emitted) draft.write(file, text, '\n')
  const kind = !emitted ? 'create' : current === null ? 'removed' : sameText(current, text) ? 'identical' : 'keep'
  draft.changes.push({ kind, path: file, ...(kind === 'keep' && { detail: 'migrations are never changed' }) })
}

/** Our migration in a host whose manifest was lost: the same name, and the same table. */
function unrecorded(draft: Draft, name: string, text: string): string | undefined {
  const { path, names } = draft.host.migrations
  return names
    .filter((folder) => folder.replace(/^\d+_/, '') === name)
    .find((folder) => firstTable(draft.read(join(path, folder, 'migration.sql')) ?? '') === firstTable(text))
}

function firstTable(sql: string): string | undefined {
  return /CREATE TABLE (?:IF NOT EXISTS )?("[^"]+"|\S+)/i.exec(sql)?.[1]
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

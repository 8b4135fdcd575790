import { join } from 'node:path/posix'
import { ConflictError } from '../host/errors.js'
import { sameText } from '../host/files.js'
import { readSection } from '../host/schema-block.js'
import type { SchemaName } from '../host/schema-names.js'
import type { Draft } from './draft.js'
import { sectionKey } from './manifest.js'
import type { StagedFragment } from './stage.js'

/** T16: refuses a fragment if the host already has a model, enum, table or type of the same name. */
export function requireFreeNames(draft: Draft, fragment: StagedFragment) {
  if (isOurs(draft, fragment)) return
  for (const wanted of declaredNames(fragment.text)) {
    const taken = draft.host.schema.names.find(({ name, dbName }) => name === wanted.name || dbName === wanted.dbName)
    if (!taken) continue
    const inDatabase = taken.dbName === taken.name ? '' : ` (in the database: ${taken.dbName})`
    throw new ConflictError({
      code: 'NAME_TAKEN',
      message: `The schema already has the ${taken.kind} ${taken.name}${inDatabase}; \`async-gen ${fragment.owner}\` would add the ${wanted.kind} ${wanted.name} (in the database: ${wanted.dbName}).`,
      where: draft.host.schema.path,
      remedy: fragment.ifTaken ?? renameYours(taken, wanted),
    })
  }
}

/** For a model whose name is fixed, because the runtime's SQL uses its table. */
function renameYours(taken: SchemaName, wanted: SchemaName): string {
  if (taken.dbName !== wanted.dbName) {
    const renamed = `${taken.kind} Your${taken.name} { … @@map("${taken.dbName}") }`
    return `Rename your ${taken.kind} in the Prisma schema, and keep its table: ${renamed}. Then run the command again.`
  }
  return [
    `async-gen needs this name in the database. Rename your ${taken.kind === 'enum' ? 'type' : 'table'} in a migration of your own:`,
    `  ALTER ${taken.kind === 'enum' ? 'TYPE' : 'TABLE'} "${taken.dbName}" RENAME TO "your_${taken.dbName}";`,
    `and in the Prisma schema: ${taken.kind} Your${taken.name} { … @@map("your_${taken.dbName}") }. Then run the command again.`,
  ].join('\n')
}

/** Whether the fragment is in the schema already: the manifest, our marker or our file shows it. */
function isOurs(draft: Draft, { name, text }: StagedFragment): boolean {
  const { kind, path } = draft.host.schema
  if (kind === 'file') {
    return sectionKey(path, name) in draft.manifest.files || readSection(draft.read(path)!, name) !== null
  }
  const file = join(path, `${name}.prisma`)
  return file in draft.manifest.files || sameText(draft.read(file) ?? '', text)
}

/** For our own fragments only, which are canonical. Prisma's parser reads the host's schema. */
function declaredNames(fragment: string): SchemaName[] {
  return [...fragment.matchAll(/^(model|enum) (\w+) \{([\s\S]*?)^\}/gm)].map(([, kind, name, body]) => ({
    kind: kind as SchemaName['kind'],
    name: name!,
    dbName: /@@map\("([^"]+)"\)/.exec(body!)?.[1] ?? name!,
  }))
}

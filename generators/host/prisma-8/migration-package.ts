import type { EmittedContract } from './contract.js'
import { prisma8Tools } from './tools.js'

export interface PackagedMigration {
  /** `create_toasts` */
  name: string
  from: string | null
  to: EmittedContract
  sql: string
  now: Date
}

/** The files of a migration of Prisma 8, by name. Its SQL stands in a file of its own. */
export async function migrationPackage(
  { root }: { root: string },
  { name, from, to, sql, now }: PackagedMigration,
): Promise<Record<string, string>> {
  const operations = [operation(name, sql)]
  const metadata = { from, to: to.hash, providedInvariants: [], createdAt: now.toISOString() }
  const { computeMigrationHash } = await prisma8Tools(root)
  const migrationHash = computeMigrationHash(metadata, operations)
  return {
    'migration.sql': sql,
    'migration.ts': source(operations[0]!, from, to.hash),
    'migration.json': JSON.stringify({ ...metadata, migrationHash }, null, 2),
    'ops.json': JSON.stringify(operations, null, 2),
  }
}

function operation(name: string, sql: string) {
  return {
    id: `async-gen.${name}`,
    label: `Run migration.sql of ${name}`,
    operationClass: /^DROP TABLE/m.test(sql) ? 'destructive' : 'additive',
    target: { id: 'postgres' },
    precheck: [],
    // The contract has our tables in `public`, whatever the search path of the database is.
    execute: [
      { description: 'search path', sql: 'SET LOCAL search_path = public', params: [] },
      { description: 'migration.sql', sql, params: [] },
      { description: 'search path', sql: 'RESET search_path', params: [] },
    ],
    postcheck: [],
  }
}

/** `node migration.ts` writes ops.json and migration.json again, as for every migration of Prisma 8. */
function source(content: ReturnType<typeof operation>, from: string | null, to: string): string {
  // In the source, the file is read.
  const execute = JSON.stringify(
    content.execute.map((each) => (each.description === 'migration.sql' ? { ...each, sql: '$sql' } : each)),
  )
  const fields = Object.entries({ ...content, execute: null }).map(([key, value]) => {
    return `        ${key}: ${key === 'execute' ? execute.replace('"$sql"', 'sql') : JSON.stringify(value)},\n`
  })
  return `#!/usr/bin/env -S node
import { readFileSync } from 'node:fs';
import type { Contract as End } from '../../snapshots/${to}/contract';
import endContract from '../../snapshots/${to}/contract.json' with { type: 'json' };
${
  from === null
    ? ''
    : `import type { Contract as Start } from '../../snapshots/${from}/contract';
import startContract from '../../snapshots/${from}/contract.json' with { type: 'json' };
`
}import { Migration, MigrationCLI, rawSql } from '@prisma/orm-postgres/migration';

const sql = readFileSync(new URL('./migration.sql', import.meta.url), 'utf8');

/** Changes tables and triggers of async-gen. Their models in the contract have @@control(external), so Prisma plans no statements for them. */
export default class M extends Migration<${from === null ? 'never' : 'Start'}, End> {
${from === null ? '' : '  override readonly startContractJson = startContract;\n'}  override readonly endContractJson = endContract;

  override get operations() {
    return [
      rawSql({
${fields.join('')}      }),
    ];
  }
}

MigrationCLI.run(import.meta.url, M);
`
}

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parserOf } from '../../generators/host/prisma-parser.js'
import { namesIn } from '../../generators/host/schema-names.js'
import { HOSTS } from '../support/host.js'

const HEAD = 'datasource db {\n  provider = "postgresql"\n}\n'

/** The same from Prisma's parser. */
function namesByPrisma(text: string) {
  const input = JSON.stringify({ prismaSchema: [['schema.prisma', text]], noColor: true })
  const { models, enums } = JSON.parse(parserOf(7).get_dmmf(input)).datamodel
  const named = (kind: string) => (item: { name: string; dbName: string | null }) => ({
    kind,
    name: item.name,
    dbName: item.dbName ?? item.name,
  })
  return [...models.map(named('model')), ...enums.map(named('enum'))]
}

const schemas: Record<string, string> = {
  'names in comments': `// model No1 {\n/// model No2 { @@map("no") }\nmodel A {\n  id Int @id // @@map("no")\n}\n/* model No3 {\n @@map("no") */\n`,
  'names in strings': `model A {\n  id Int @id\n  a String @default("model No { // } \\" @@map(\\"no\\")")\n\n  @@map("a")\n}\n`,
  'names in the database': `model A {\n  id Int @id @map("no")\n  e E\n\n  @@map(name: "a \\"quoted\\" name")\n}\n\nenum E {\n  X @map("no")\n\n  @@map("e")\n}\n`,
  'odd spaces': `model   A{\n  id Int @id\n  @@map ( "a" )\n}\nenum E{\nX\n}\n`,
  'names like keywords': `model View {\n  id Int @id\n  enum Enum\n  model String\n}\n\nenum Enum {\n  view\n}\n`,
  'Windows line ends': `model A {\r\n  id Int @id\r\n\r\n  @@map("a") // more\r\n}\r\n`,
}

describe('the names of a schema are those that Prisma finds', () => {
  it.each(Object.entries(schemas))('with %s', (_, text) => {
    expect(sorted(namesIn(HEAD + text))).toEqual(sorted(namesByPrisma(HEAD + text)))
    expect(namesIn(HEAD + text).length).toBeGreaterThan(0)
  })

  it('in every schema of the sample hosts', () => {
    const files = readdirSync(HOSTS, { recursive: true, encoding: 'utf8' }).filter((file) =>
      /shop.*\.prisma$/.test(file),
    )
    const text = HEAD + files.map((file) => readFileSync(join(HOSTS, file), 'utf8')).join('\n')
    expect(sorted(namesIn(text))).toEqual(sorted(namesByPrisma(text)))
    expect(namesIn(text).length).toBeGreaterThan(3)
  })
})

function sorted(names: { name: string }[]) {
  return names.toSorted((a, b) => a.name.localeCompare(b.name))
}

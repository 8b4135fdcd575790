import { describe, expect, it } from 'vitest'
import { stage } from '../../generators/changes/stage.js'
import { invalidation } from '../../generators/definitions/invalidation.js'
import { modelsOf as modelsOfSchema } from '../../generators/host/prisma-models.js'
import type { SchemaFile } from '../../generators/host/prisma-schema.js'
import { packagedTemplate } from '../../generators/pipeline/templates.js'
import { lines, SCHEMA, sampleHost } from './sample-host.js'

const modelsOf = (files: SchemaFile[]) => modelsOfSchema({ files, major: 7 })

const MODELS = modelsOf([
  {
    path: 'schema.prisma',
    text: `
datasource db {
  provider = "postgresql"
  schemas  = ["public", "pantry"]
}

model Oat {
  id       Int       @id @map("oat_id")
  code     String    @unique
  toppings Topping[]
  labels   Label[]
  @@map("oats")
  @@schema("pantry")
}

model Topping {
  id    Int @id
  oatId Int @map("oat's id")
  oat   Oat @relation(fields: [oatId], references: [id])
  @@schema("public")
}

model Label {
  id   Int    @id
  code String
  oat  Oat    @relation(fields: [code], references: [code])
  @@schema("public")
}

model Shelf {
  aisle Int
  level String
  jars  Jar[]
  @@id([aisle, level])
  @@schema("public")
}

model Jar {
  filledAt DateTime @id
  level    String
  aisle    Int
  shelf    Shelf    @relation(fields: [level, aisle], references: [level, aisle])
  @@schema("public")
}
`,
  },
])

function migrationsFor(...sources: string[]) {
  const staged = stage(invalidation(MODELS, sources, 'install'), packagedTemplate)
  return staged.flatMap((each) => (each.kind === 'migration' ? [each] : []))
}

describe('T13: --invalidate-on', () => {
  it('Model: triggers by which its own toasts become stale, and go when it goes', () => {
    const { name, text } = migrationsFor('Oat')[0]!
    expect(name).toBe('invalidate_oat_on_oat')
    expect(
      text,
    ).toBe(`-- Whatever changes a row of "pantry"."oats", raw SQL too, makes its toasts stale. They go when it goes.
CREATE TRIGGER "toasts_invalidate_on_update_oat"
    AFTER UPDATE ON "pantry"."oats"
    REFERENCING OLD TABLE AS "old_rows" NEW TABLE AS "new_rows"
    FOR EACH STATEMENT
    EXECUTE FUNCTION "toasts_invalidate_on_change"('oat', 'to_jsonb("oat_id")::text');

CREATE TRIGGER "toasts_invalidate_on_delete_oat"
    AFTER DELETE ON "pantry"."oats"
    REFERENCING OLD TABLE AS "old_rows"
    FOR EACH STATEMENT
    EXECUTE FUNCTION "toasts_forget_on_delete"('oat', 'to_jsonb("oat_id")::text');

CREATE TRIGGER "toasts_invalidate_on_truncate_oat"
    AFTER TRUNCATE ON "pantry"."oats"
    FOR EACH STATEMENT
    EXECUTE FUNCTION "toasts_forget_on_delete"('oat', 'to_jsonb("oat_id")::text');
`)
  })

  it('Model.relation: triggers by which the toasts of its parent become stale, inserts and deletes included', () => {
    const { name, text } = migrationsFor('Topping.oat')[0]!
    expect(name).toBe('invalidate_oat_on_topping_oat')
    for (const when of ['insert', 'update', 'delete', 'truncate'])
      expect(text).toContain(`"toasts_invalidate_on_${when}_oat"`)
    expect(text).toContain(`'oat', 'to_jsonb("oat''s id")::text'`)
    expect(text).not.toContain('forget')
  })

  it('keeps apart the triggers of a table and of its own relation of the same name', () => {
    const models = modelsOf([
      {
        path: 'schema.prisma',
        text: `datasource db {\n  provider = "postgresql"\n}
model Oat {\n  id Int @id\n  oatId Int\n  oat Oat @relation("Crossed", fields: [oatId], references: [id])\n  crossed Oat[] @relation("Crossed")\n}`,
      },
    ])
    const staged = stage(invalidation(models, ['Oat', 'Oat.oat'], 'install'), packagedTemplate)
    const names = staged.flatMap((each) => ('text' in each ? each.text.match(/(?<=TRIGGER )"[^"]+"/g)! : []))
    expect(new Set(names).size).toBe(names.length)
  })

  it('keeps long names apart', () => {
    const long = 'VeryLongNameOfATableThatHoldsManyThings'
    const models = modelsOf([
      {
        path: 'schema.prisma',
        text: `datasource db {\n  provider = "postgresql"\n}\nmodel Oat {\n  id Int @id\n  a ${long}[] @relation("a")\n  b ${long}[] @relation("b")\n}
model ${long} {\n  id Int @id\n  firstId Int\n  secondId Int
  first Oat @relation("a", fields: [firstId], references: [id])\n  second Oat @relation("b", fields: [secondId], references: [id])\n}`,
      },
    ])
    const staged = stage(invalidation(models, [`${long}.first`, `${long}.second`], 'install'), packagedTemplate)
    const names = staged.flatMap((each) => ('text' in each ? [...each.text.matchAll(/TRIGGER "([^"]+)"/g)] : []))
    expect(new Set(names.map(([, name]) => name!.slice(0, 63))).size).toBe(8)
    for (const [, name] of names) expect(Buffer.byteLength(name!)).toBeLessThanOrEqual(63)
  })

  it('a composite key, in the order of the parent’s @@id', () => {
    const { text } = migrationsFor('Jar.shelf')[0]!
    expect(text).toContain(`'shelf', 'jsonb_build_array("aisle", "level")::text'`)
  })

  it('several at once are a migration each', () => {
    expect(migrationsFor('Oat', 'topping.oat').map(({ name }) => name)).toEqual([
      'invalidate_oat_on_oat',
      'invalidate_oat_on_topping_oat',
    ])
  })

  it('is a flag of install, also of a later run, and a migration is emitted once', async () => {
    const host = sampleHost({ 'prisma/schema.prisma': SCHEMA })
    await host.run('install')
    const request = { invalidateOn: ['Order'] }
    const added = lines(await host.run('install', [], request)).filter((line) => line.startsWith('create'))
    expect(added).toEqual([
      expect.stringMatching(/^create prisma\/migrations\/\d{14}_invalidate_order_on_order\/migration\.sql$/),
    ])
    expect((await host.run('install', [], request)).status).toBe('nothing to do')
  })

  it.each([
    ['Wheat', 'MODEL_NOT_FOUND', 'Choose one of these: Oat, Topping, Label, Shelf, Jar'],
    ['Topping.shelf', 'RELATION_NOT_FOUND', 'Choose one of these: Topping.oat'],
    ['Oat.toppings', 'RELATION_NOT_FOUND', 'For its own toasts: --invalidate-on Oat'],
    ['Label.oat', 'RELATION_NOT_BY_KEY', 'Toasts are stored by primary key.'],
    ['Jar', 'KEY_TYPE', 'Use a primary key of one of these types: Int, BigInt, String, Boolean.'],
  ])('refuses %s, and says what would do: %s', (source, code, remedy) => {
    expect(() => migrationsFor(source)).toThrow(
      expect.objectContaining({ code, remedy: expect.stringContaining(remedy) }),
    )
  })
})

/**
 * Translates one of our fragments from the schema of Prisma 7 to a contract of Prisma 8, as `prisma contract format` writes it. Our
 * migrations create the tables, with triggers and partial indexes. `@@control(external)` makes Prisma check that the columns exist, and
 * keeps the tables out of its own plans.
 */
export function contractModels(fragment: string): string {
  const enums = [...fragment.matchAll(/^enum (\w+) \{/gm)].map((match) => match[1]!)
  return fragment
    .replaceAll(/^model [\s\S]*?^\}/gm, (model) => aligned(contractModel(model, enums)))
    .replaceAll(/^enum (\w+) \{\n([\s\S]*?)^\}/gm, (_, name, body) => `native_enum ${name} {\n${enumMembers(body)}}`)
}

function contractModel(model: string, enums: string[]): string {
  return enums
    .reduce(
      (text, name) =>
        text.replaceAll(new RegExp(`\\b${name}( +)@default\\((\\w+)\\)`, 'g'), `pg.enum(${name})$1@default("$2")`),
      model,
    )
    .replaceAll(/^ {2}(?:@@(?:unique|index)\b|\w+ +\w+(?:\[\]|\?)? +@relation\b).*\n/gm, '')
    .replaceAll(/^( {2}\w+ +)DateTime\b/gm, '$1TimestamptzJsDate(6)')
    .replaceAll(/^( {2}\w+ +)Json\b/gm, '$1Jsonb')
    .replaceAll(/ @db\.Timestamptz\(6\)| @updatedAt\b/g, '')
    .replaceAll(/@default\("([[{][\]}])"\)/g, '@default(json`$1`)')
    .replaceAll(/^( {2}\w+ +[\w()]+)\[\]/gm, '$1[]?')
    .replace(/\n\}$/, '\n  @@control(external)\n}')
}

const FIELD = /^ {2}(\w+) +(\S+) *(.*)$/

/** Aligns the types and the attributes of the fields. */
function aligned(model: string): string {
  const lines = model.split('\n')
  const width = (part: number) => Math.max(...lines.map((line) => FIELD.exec(line)?.[part]?.length ?? 0))
  const [names, types] = [width(1), width(2)]
  return lines
    .map((line) => {
      const [, name, type, attributes] = FIELD.exec(line) ?? []
      if (name === undefined || type === undefined) return line
      return `  ${name.padEnd(names)} ${type.padEnd(types)} ${attributes}`.trimEnd()
    })
    .join('\n')
}

/** Comments are left out: a `native_enum` takes none between its members. */
function enumMembers(body: string): string {
  return body.replaceAll(/^ *\/\/\/.*\n/gm, '').replaceAll(/^( {2})(\w+)$/gm, '$1$2 = "$2"')
}

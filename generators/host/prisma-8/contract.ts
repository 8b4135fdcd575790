import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { HostError } from '../errors.js'
import { hostPath } from '../files.js'
import type { PrismaSchema } from '../prisma-schema.js'
import type { SchemaName } from '../schema-names.js'
import { failureText, type Prisma8Tools, type PrismaFailure, prisma8Tools } from './tools.js'

/** The contract of a host on Prisma 8, in place of a schema. */
export interface HostContract {
  config: string
  schema: PrismaSchema
  /** The folder of the application's migrations: `migrations/app`. */
  migrations: string
  emit: EmitContract
  /** The path of the contract that Prisma has emitted: `src/prisma/contract.json`. It may not exist yet. */
  emitted: string
}

/** What `prisma contract emit` writes for a text of the contract. */
export interface EmittedContract {
  /** The identity of the contract: migrations lead from one to another. */
  hash: string
  json: string
  types: string
}

/** @throws HostError CONTRACT_INVALID with Prisma's own message */
export type EmitContract = (text: string) => Promise<EmittedContract>

/** Reads the config with the host's own Prisma 8, and the contract that it names. */
export async function readContract(root: string, flag: string | undefined): Promise<HostContract> {
  const tools = await prisma8Tools(root)
  const config = flag ? resolve(root, flag) : join(root, 'prisma.config.ts')
  const { contract, migrations, extensions } = await loadConfig(tools, config)
  const [path, ...others] = contract?.source.inputs ?? []
  if (contract?.source.format !== 'psl' || !path || others.length > 0 || !existsSync(path)) {
    const paths = contract?.source.inputs?.map((each) => hostPath(root, each)) ?? []
    throw new HostError({
      code: 'CONTRACT_SOURCE',
      message: sourceMessage(contract?.source.format, paths),
      where: config,
      remedy:
        'Name one file in prisma.config.ts: ormConfig({ contract: "./src/prisma/contract.prisma" }). docs/prisma.md of async-gen, "Preview: Prisma 8", lists what is supported',
    })
  }
  const text = readFileSync(path, 'utf8')
  return {
    config: hostPath(root, config),
    schema: contractSchema(hostPath(root, path), text),
    migrations: hostPath(root, join(migrations?.dir ?? join(root, 'migrations'), 'app')),
    emitted: hostPath(root, contract.output ?? path.replace(/\.prisma$/, '.json')),
    emit: (changed) => emit(tools, root, changed, { path: hostPath(root, path), extensions: extensions ?? [] }),
  }
}

async function loadConfig(tools: Prisma8Tools, path: string) {
  if (!existsSync(path)) throw invalidConfig('There is no prisma.config.ts.', path)
  const loaded = await tools.loadConfig(path)
  const failure = loaded.ok ? loaded.value.diagnostics[0] : loaded.failure
  if (!loaded.ok || failure) throw invalidConfig(`prisma.config cannot be loaded: ${failureText(failure ?? {})}`, path)
  return loaded.value.config
}

function invalidConfig(message: string, where: string): HostError {
  return new HostError({
    code: 'PRISMA_CONFIG_INVALID',
    message,
    where,
    remedy: 'Correct it until `npx prisma contract emit` passes, then run the command again.',
  })
}

function sourceMessage(format: string | undefined, paths: string[]): string {
  if (format === undefined || paths.length === 0) return 'prisma.config.ts names no contract.'
  if (format !== 'psl')
    return `The contract is in ${format}, not in Prisma's schema language. async-gen cannot add its models.`
  if (paths.length > 1)
    return `The contract is several files: ${paths.join(', ')}. async-gen adds its models to one file.`
  return `The contract does not exist: ${paths[0]}`
}

function contractSchema(path: string, text: string): PrismaSchema {
  return {
    kind: 'file',
    path,
    files: [{ path, text }],
    major: 8,
    names: declaredNames(text),
    provider: 'postgresql',
    urlVariable: null,
    schemas: [],
    relationMode: 'foreignKeys',
    previewFeatures: [],
    clients: [],
  }
}

/** The names that a contract declares. Emitting it checks everything else. */
function declaredNames(text: string): SchemaName[] {
  return [...text.matchAll(/^[ \t]*(model|enum|native_enum) (\w+) *\{([\s\S]*?)^[ \t]*\}/gm)].map(
    ([, kind, name, body]) => ({
      kind: kind === 'model' ? 'model' : 'enum',
      name: name!,
      dbName: /@@map\("([^"]+)"\)/.exec(body!)?.[1] ?? name!,
    }),
  )
}

/** Emits into a folder outside the host. */
async function emit(
  tools: Prisma8Tools,
  root: string,
  text: string,
  { path, extensions }: { path: string; extensions: unknown },
): Promise<EmittedContract> {
  const folder = mkdtempSync(join(tmpdir(), 'async-gen-contract-'))
  try {
    const contract = join(folder, 'contract.prisma')
    writeFileSync(contract, text)
    const config = tools.defineConfig({ contract, output: folder, extensions })
    const output = { config, cwd: root, projectDir: root, outputPath: folder }
    const { storageHash } = await tools.executeContractEmit(output).catch((error: PrismaFailure) => {
      throw invalidContract(failureText(error).replaceAll(contract, path), path)
    })
    const read = (name: string) => readFileSync(join(folder, name), 'utf8')
    return { hash: storageHash, json: read('contract.json'), types: read('contract.d.ts') }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function invalidContract(message: string, path: string): HostError {
  return new HostError({
    code: 'CONTRACT_INVALID',
    message: `Prisma refuses the contract.\n${message}`,
    where: path,
    remedy: 'Correct it until `npx prisma contract emit` passes, then run the command again.',
  })
}

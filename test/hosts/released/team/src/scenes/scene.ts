import { writeSync } from 'node:fs'

/** Runs a scene, prints what it returns as JSON, and ends the process. */
export async function scene(play: () => Promise<unknown>) {
  const result = await play()
  writeSync(1, `${JSON.stringify(result ?? null, (_, value) => (typeof value === 'bigint' ? Number(value) : value))}\n`)
  process.exit()
}

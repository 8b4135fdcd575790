export type GraphileModule = typeof import('graphile-worker')

/** Loads Graphile Worker. A process that runs no worker does without it, and starts sooner. */
export async function loadGraphile(): Promise<GraphileModule> {
  const loaded: GraphileModule & { default?: GraphileModule } = await import('graphile-worker')
  // It is a CommonJS module. If a bundler puts it into a chunk of its own, all of its exports are in `default`.
  return loaded.run === undefined ? loaded.default! : loaded
}

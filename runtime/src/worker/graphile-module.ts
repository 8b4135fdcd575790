export type GraphileModule = typeof import('graphile-worker')

/** Loads Graphile Worker. A process that runs no worker does without it, and starts sooner. */
export async function loadGraphile(): Promise<GraphileModule> {
  const loaded: GraphileModule & { default?: GraphileModule } = await import('graphile-worker')
  // It is a CommonJS module. If a bundler puts it into a chunk of its own, all of its exports are in `default`.
  return loaded.run === undefined ? loaded.default! : loaded
}

/** The schema that the triggers and the sweep name. Otherwise Graphile Worker would use that of GRAPHILE_WORKER_SCHEMA, or of its configuration file. */
export const GRAPHILE_SCHEMA = 'graphile_worker'

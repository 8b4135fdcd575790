export type GraphileModule = typeof import('graphile-worker')

/** Loads Graphile Worker. A process that runs no worker does without it, and starts sooner. */
export async function loadGraphile(): Promise<GraphileModule> {
  return await import('graphile-worker')
}

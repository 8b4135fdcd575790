import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { upwards } from './files.js'

/** Those of the paths that git ignores; none outside of a repository, or without git. */
export function ignoredByGit(root: string, paths: string[]): string[] {
  if (paths.length === 0 || !upwards(root).some((folder) => existsSync(join(folder, '.git')))) return []
  const { stdout } = spawnSync('git', ['check-ignore', '--stdin', '-z'], {
    cwd: root,
    input: paths.join('\0'),
    encoding: 'utf8',
  })
  return (stdout ?? '').split('\0').filter(Boolean)
}
